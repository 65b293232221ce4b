// The `[[artefacts]]` of a configuration file. Belongs to config-file.ts. Invariant: an artefact that
// could not be captured as it is meant (a lock without a directory, a command without output) is an error here.

import * as z from 'zod/mini';
import type { Artefact } from './artefact.ts';
import { fromText } from './bytes.ts';
import { commandSchema, distinctNames, nameSchema, userCommand } from './config-file-commands.ts';
import { parseBytes, parseDuration } from './units.ts';
import type { UserCommand } from './user-command.ts';

const INSIDE = 'must be a path inside the project, relative to it';
const path = z.string({ error: INSIDE }).check(z.refine(isInside, { error: INSIDE }));
const DURATION = 'must be a duration such as "30s", "5m" or "6h"';
const duration = z.string({ error: DURATION }).check(z.refine((value) => /^\d+(\.\d+)?(ms|s|m|h|d)$/.test(value.trim()), { error: DURATION }));
const SIZE = 'must be a size such as "50MB" or "2GiB", or a number of bytes';
const size = z.union([z.int().check(z.gte(0)), z.string().check(z.regex(/^\d+(\.\d+)?\s*(B|[kKMGT]B|[KMGT]iB)?$/))], { error: SIZE });
const flag = z.boolean({ error: 'must be true or false' });
const KIND = 'must be "database", "json", "directory" or "command"';

const NEEDS_PATH = 'must have a path (a command has none)';
const NEEDS_COMMAND = 'must have command where kind is "command", and only there; restore and min_size belong to it';
const LOCK = 'may have lock, or lock_command with unlock_command, where kind is "directory"';

const artefact = z
  .strictObject(
    {
      name: nameSchema,
      kind: z.enum(['database', 'json', 'directory', 'command'], { error: KIND }),
      path: z.optional(path),
      optional: z.optional(flag),
      lock: z.optional(path),
      lock_command: z.optional(commandSchema),
      unlock_command: z.optional(commandSchema),
      lock_wait: z.optional(duration),
      command: z.optional(commandSchema),
      restore: z.optional(commandSchema),
      min_size: z.optional(size),
      timeout: z.optional(duration),
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table ([[artefacts]])' : undefined) },
  )
  .check(
    z.refine((one) => (one.path === undefined) === (one.kind === 'command'), { error: NEEDS_PATH }),
    z.refine(
      (one) => (one.kind === 'command' ? one.command !== undefined : [one.command, one.restore, one.min_size].every((value) => value === undefined)),
      { error: NEEDS_COMMAND },
    ),
    z.refine(
      (one) =>
        (one.lock_command === undefined) === (one.unlock_command === undefined) &&
        (one.lock === undefined || one.lock_command === undefined) &&
        (one.kind === 'directory' || (one.lock ?? one.lock_command ?? one.lock_wait) === undefined),
      { error: LOCK },
    ),
  );

export const artefactsSchema = z
  .array(artefact, { error: 'must be tables ([[artefacts]])' })
  .check(z.refine(distinctNames, { error: 'must not use one name twice' }));

/** A person's ingestion step is over by then; a save must not wait for longer. */
const LOCK_WAIT_MS = 10_000;
/** A dump of hundreds of gigabytes ends in time; one that hangs ends at all. */
const TIMEOUT_MS = 3_600_000;

/** @param source the file that says it */
export function artefactsPart(artefacts: z.infer<typeof artefactsSchema>, source: string): Artefact[] {
  return artefacts.map((one) => {
    const command = (run: z.infer<typeof commandSchema> | undefined, key: string): UserCommand | undefined =>
      run === undefined ? undefined : userCommand(run, `artefacts.${one.name}.${key}`, source);
    return {
      name: one.name,
      kind: one.kind,
      path: one.path === undefined ? undefined : fromText(plain(one.path)),
      optional: one.optional ?? false,
      lock: one.lock === undefined ? undefined : fromText(plain(one.lock)),
      lockCommand: command(one.lock_command, 'lock_command'),
      unlockCommand: command(one.unlock_command, 'unlock_command'),
      lockWait: one.lock_wait === undefined ? LOCK_WAIT_MS : parseDuration(one.lock_wait),
      command: command(one.command, 'command'),
      restore: command(one.restore, 'restore'),
      // A dump of nothing is what a failed one looks like.
      minSize: one.min_size === undefined ? 1 : typeof one.min_size === 'number' ? one.min_size : parseBytes(one.min_size),
      timeout: one.timeout === undefined ? TIMEOUT_MS : parseDuration(one.timeout),
    };
  });
}

function plain(value: string): string {
  return value
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

function isInside(value: string): boolean {
  return !value.startsWith('/') && !value.includes('\0') && plain(value) !== '' && !value.split('/').includes('..');
}
