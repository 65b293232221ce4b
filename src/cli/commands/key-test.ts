// `cora key test`.

import { type KeyTest, testKey } from '../../actions/key-test.ts';
import { remotesOf } from '../../actions/offsite-remote.ts';
import type { Bytes } from '../../base/bytes.ts';
import { defaultConfig } from '../../base/config.ts';
import { CoraError } from '../../base/errors.ts';
import { openVault, type Vault } from '../../vault/vault.ts';
import type { Outcome, Session } from '../command.ts';
import { identityPath, keyPlace } from '../key-session.ts';
import { offsiteSetup } from '../offsite-session.ts';
import { keyTestDocument, keyTestLines } from '../render-key.ts';

type Options = { readonly identity?: Bytes; readonly remote?: string; readonly deep?: boolean };

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const place = await keyPlace(session);
  const config = place.project?.config.offsite ?? defaultConfig.offsite;
  const setup = offsiteSetup(config, session.machine);
  const remotes = options.remote === undefined ? remotesOf(setup) : [options.remote];
  if (remotes.length === 0)
    throw new CoraError('usage', 'No remote is configured', { hint: 'cora key test --remote name:bucket, or [offsite] remote (docs/offsite.md)' });
  const vault = vaultAt(place.vault);
  const tests: KeyTest[] = [];
  for (const remote of remotes) {
    const from = options.remote === undefined ? 'configured' : 'typed';
    const wanted = {
      identity: identityPath(options.identity, place, session),
      remote,
      from,
      env: config.env ?? vault?.info.name,
      deep: options.deep === true,
    } as const;
    tests.push(await testKey(setup, vault, wanted, session.ctx));
  }
  return { result: keyTestDocument(tests), lines: keyTestLines(tests) };
}

/** A key is tested as well where nothing is saved: then there is nowhere to record it. */
function vaultAt(path: string | undefined): Vault | undefined {
  try {
    return path === undefined ? undefined : openVault(path);
  } catch (error) {
    if (error instanceof CoraError && error.code === 'vault_missing') return undefined;
    throw error;
  }
}
