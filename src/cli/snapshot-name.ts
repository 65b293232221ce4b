// How a snapshot is named on the command line: a word, `@WHEN`, `--at WHEN` or `--latest TYPE`.

import { type Bytes, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import type { SnapshotKind } from '../format/report.ts';
import { exists } from '../os/files.ts';
import type { AdoptedSnapshot } from '../vault/adopted.ts';
import type { VaultLocation } from '../vault/locate.ts';
import type { Vault } from '../vault/vault.ts';
import type { Session } from './command.ts';

/** For every command that takes a snapshot's name. */
export const MOMENT_FLAGS = {
  at: { kind: 'text', value: 'WHEN', help: 'the newest good one not after WHEN: "2 hours ago", "yesterday", "before v1.2"; @WHEN is the same' },
  latest: {
    kind: 'choice',
    value: 'TYPE',
    choices: ['any', 'daily', 'weekly', 'monthly', 'manual', 'auto'],
    help: 'the newest good backup of TYPE: daily, weekly, monthly, manual, auto; any: the newest snapshot',
  },
} as const;

export type MomentOptions = { readonly at?: string; readonly latest?: 'any' | 'daily' | 'weekly' | 'monthly' | 'manual' | 'auto' };

export type NamedSnapshot = {
  /** An exact id where a moment was given, else the word as it was typed; undefined where nothing was said. */
  readonly target: string | undefined;
  /** `moment` of the JSON document; without fields where none was given. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The backup of another tool that the word names. */
  readonly adopted?: { readonly vault: Vault; readonly snapshot: AdoptedSnapshot };
};

/** True where the options alone name a snapshot. */
export function hasMoment(options: MomentOptions): boolean {
  return options.at !== undefined || options.latest !== undefined;
}

/**
 * @param kind limits moments to it
 * @throws CoraError usage where it is named twice; what `nameSnapshot` throws
 */
export async function namedSnapshot(
  word: Bytes | undefined,
  options: MomentOptions,
  location: VaultLocation,
  session: Session,
  kind?: SnapshotKind,
): Promise<NamedSnapshot> {
  const name = word === undefined ? undefined : toText(word);
  if (options.at !== undefined && options.latest !== undefined)
    throw new CoraError('usage', '--at and --latest exclude each other', { hint: 'give one of them' });
  if (!hasMoment(options) && name?.startsWith('@') !== true) {
    const adopted = word === undefined ? undefined : await adoptedBackup(word, location, session);
    return { target: name, fields: {}, ...(adopted === undefined ? {} : { adopted }) };
  }
  if (name !== undefined && hasMoment(options)) {
    throw new CoraError('usage', `A snapshot is named twice: ${name} and ${options.at === undefined ? '--latest' : '--at'}`, {
      hint: 'leave one of them out',
    });
  }
  const { nameSnapshot } = await import('../actions/resolve-name.ts');
  const { id, moment } = await nameSnapshot(location, { name, kind, at: options.at, latest: options.latest }, session.ctx);
  if (moment === undefined) return { target: id, fields: {} };
  const { said, time, before } = moment;
  const document = { said, time: time === undefined ? null : new Date(time).toISOString(), snapshot_id: id, seconds_before: before / 1000 };
  return { target: id, fields: { moment: document } };
}

/** The adopted backup that a word names; undefined for all else. Costs nothing where nothing was adopted. */
async function adoptedBackup(word: Bytes, location: VaultLocation, session: Session): Promise<NamedSnapshot['adopted']> {
  const { NAMES } = await import('../vault/layout.ts');
  if (!exists(`${location.path}/${NAMES.adopted}`)) return undefined;
  const [{ adoptedNamed }, { openLocated }] = await Promise.all([import('../vault/adopted.ts'), import('../vault/locate.ts')]);
  const vault = openLocated(location);
  const snapshot = adoptedNamed(vault, toText(word.includes('/') ? session.absolute(word) : word), session.ctx.now());
  return snapshot === undefined ? undefined : { vault, snapshot };
}
