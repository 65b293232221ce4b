// `cora key test`.

import { type KeyPlace, usualIdentity } from '../../actions/key-place.ts';
import { type KeyTest, testKey } from '../../actions/key-test.ts';
import { configuredName, remotesOf } from '../../actions/offsite-remote.ts';
import type { Bytes } from '../../base/bytes.ts';
import { defaultConfig } from '../../base/config.ts';
import { CoraError, ERROR_EXIT, EXIT } from '../../base/errors.ts';
import { exists } from '../../os/files.ts';
import { openVault, type Vault } from '../../vault/vault.ts';
import type { Outcome, Session } from '../command.ts';
import { failureOf } from '../json.ts';
import { identityPath, keyPlace } from '../key-session.ts';
import { offsiteSetup } from '../offsite-session.ts';
import { keyTestDocument, keyTestLines } from '../render-key.ts';

type Options = { readonly identity?: Bytes; readonly remote?: string; readonly deep?: boolean };

export async function run({ options }: { readonly options: Options }, session: Session): Promise<Outcome> {
  const place = await keyPlace(session);
  const config = place.project?.config.offsite ?? defaultConfig.offsite;
  const setup = offsiteSetup(config, session.machine);
  const remotes = options.remote === undefined ? remotesOf(setup) : [configuredName(setup, options.remote)];
  if (remotes.length === 0)
    throw new CoraError('usage', 'No remote is configured', { hint: 'cora key test --remote name:bucket, or [offsite] remote (docs/offsite.md)' });
  const vault = vaultAt(place.vault);
  const identity = options.identity === undefined ? ownIdentity(place) : identityPath(options.identity, place, session);
  const tests: KeyTest[] = [];
  const failures: CoraError[] = [];
  for (const remote of remotes) {
    const from = options.remote === undefined ? 'configured' : 'typed';
    const wanted = {
      identity,
      home: place.home,
      remote,
      from,
      env: config.env ?? vault?.info.name,
      deep: options.deep === true,
    } as const;
    try {
      tests.push(await testKey(setup, vault, wanted, session.ctx));
    } catch (error) {
      // One remote that is not there must not keep the others untested.
      if (!(error instanceof CoraError) || error.code === 'interrupted' || remotes.length === 1) throw error;
      failures.push(error);
    }
  }
  // What is wrong with the key or a copy is graver than a remote that does not answer.
  const failure = failures.find(({ code }) => ERROR_EXIT[code] !== EXIT.remote) ?? failures[0];
  if (failure === undefined) return { result: keyTestDocument(tests), lines: keyTestLines(tests) };
  const result = keyTestDocument(tests);
  return { result, lines: keyTestLines(tests), failure: { ...failureOf(failure), details: { ...failure.details, tested: result } } };
}

/** Of a project its own key; where it has none (a new machine), whatever lies in the usual place is tried. */
function ownIdentity(place: KeyPlace): string | undefined {
  const path = place.home === undefined ? undefined : usualIdentity(place);
  return path !== undefined && exists(path) ? path : undefined;
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
