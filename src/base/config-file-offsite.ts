// The part of a configuration file that says where copies go that leave the machine: `[offsite]` (docs/offsite.md).
// Belongs to config-file.ts.

import * as z from 'zod/mini';
import { CoraError } from './errors.ts';
import { parseDuration } from './units.ts';
import { PROJECT_FILE } from './user-command.ts';

const REMOTE = 'must be a remote of rclone (name:bucket/path), an absolute path, a path that begins with ~/, or a list of these';
const ENV = 'must begin with a letter or digit and hold only letters, digits, dots, dashes and underscores, 64 at most';
const RECIPIENTS = 'must be a list of age recipients such as ["age1..."]; cora key new makes one';
const PATH = 'must be an absolute path, or begin with ~/';
const DURATION = 'must be a duration such as "30s", "36h" or "30d"';
const LIMIT = 'must be a rate as rclone takes it, such as "2M" or "08:00,512k 19:00,off"';

const remote = z.string({ error: REMOTE }).check(z.refine(isRemote, { error: REMOTE }));
const duration = z.string({ error: DURATION }).check(z.refine(isDuration, { error: DURATION }));
const path = z.string({ error: PATH }).check(z.regex(/^(\/|~\/)[^\0\n]*$/, { error: PATH }));
const flag = z.boolean({ error: 'must be true or false' });

/** @param rules the schema of retention rules, which config-file.ts has */
export function offsiteSchema<R extends z.core.$ZodType>(rules: R) {
  return z.strictObject(
    {
      remote: z.optional(z.union([remote, z.array(remote)], { error: REMOTE })),
      env: z.optional(z.string({ error: ENV }).check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, { error: ENV }))),
      recipients: z.optional(
        z.array(z.string({ error: RECIPIENTS }).check(z.regex(/^age1[a-z0-9]{1,4000}$/, { error: RECIPIENTS })), { error: RECIPIENTS }),
      ),
      allow_plaintext: z.optional(flag),
      bwlimit: z.optional(z.string({ error: LIMIT }).check(z.refine(isRate, { error: LIMIT }))),
      timeout: z.optional(duration),
      saves: z.optional(flag),
      after_backup: z.optional(flag),
      lock: z.optional(duration),
      credentials: z.optional(path),
      rclone_config: z.optional(path),
      retention: rules,
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table' : undefined) },
  );
}

/** What `offsiteSchema` reads, its rules aside. */
export type OffsiteTable = {
  readonly remote?: string | readonly string[] | undefined;
  readonly env?: string | undefined;
  readonly recipients?: readonly string[] | undefined;
  readonly allow_plaintext?: boolean | undefined;
  readonly bwlimit?: string | undefined;
  readonly timeout?: string | undefined;
  readonly saves?: boolean | undefined;
  readonly after_backup?: boolean | undefined;
  readonly lock?: string | undefined;
  readonly credentials?: string | undefined;
  readonly rclone_config?: string | undefined;
};

/**
 * Only the keys that are set.
 * @throws CoraError config_invalid for what a repository's own file may not say: a connection string or a file of keys could send a
 * clone's data to whoever wrote it, and rclone's configuration runs programs (`bearer_token_command`)
 */
export function offsitePart(table: OffsiteTable, source: string) {
  const { remote: named, allow_plaintext, timeout, after_backup, lock, rclone_config } = table;
  const { env, recipients, bwlimit, saves, credentials } = table;
  const remotes = typeof named === 'string' ? [named] : named;
  if (source === PROJECT_FILE && remotes?.some((one) => one.startsWith(':') || /^[^/]*,[^/]*:/.test(one))) {
    throw new CoraError('config_invalid', `${source}: offsite.remote is a connection string, which a repository's file may not hold`, {
      hint: "name the remote in rclone's configuration (rclone config), or write it into ~/.config/cora/<project>.toml",
    });
  }
  const [key] = Object.entries({ credentials, rclone_config }).find(([, value]) => value !== undefined) ?? [];
  if (source === PROJECT_FILE && key !== undefined) {
    throw new CoraError('config_invalid', `${source}: offsite.${key} names a file of keys, which a repository's file may not choose`, {
      hint: 'write it into ~/.config/cora/<project>.toml or /etc/cora/<project>.toml',
      details: { source, key: `offsite.${key}` },
    });
  }
  return {
    ...(remotes === undefined ? {} : { remotes }),
    ...(env === undefined ? {} : { env }),
    ...(recipients === undefined ? {} : { recipients }),
    ...(allow_plaintext === undefined ? {} : { allowPlaintext: allow_plaintext }),
    ...(bwlimit === undefined ? {} : { bwlimit }),
    ...(timeout === undefined ? {} : { timeout: parseDuration(timeout) }),
    ...(saves === undefined ? {} : { saves }),
    ...(after_backup === undefined ? {} : { afterBackup: after_backup }),
    ...(lock === undefined ? {} : { lock: parseDuration(lock) }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(rclone_config === undefined ? {} : { rcloneConfig: rclone_config }),
  };
}

function isRemote(value: string): boolean {
  return /^(\/|~\/|:?[A-Za-z0-9_][^\n\0]*:)[^\n\0]*$/.test(value);
}

const RATE = '(?:off|\\d*\\.?\\d+(?:b|[kmgtpe](?:i?b)?|[kmgtpe]i)?)';
const RATES = new RegExp(`^(?:(?:[a-z]{3,9}-)?\\d{1,2}:\\d{2},)?${RATE}(?::${RATE})?$`, 'i');

/** Whether rclone takes a text as `--bwlimit`: one rate, one for each direction, or a timetable of such. */
export function isRate(value: string): boolean {
  return value.length <= 200 && value.split(' ').every((part) => RATES.test(part));
}

function isDuration(value: string): boolean {
  try {
    return parseDuration(value) > 0;
  } catch {
    return false;
  }
}
