// The part of a configuration file that says when a project counts as healthy, and who is told when it is not: `[health]`.
// Belongs to config-file.ts.

import * as z from 'zod/mini';
import { commandSchema, userCommand } from './config-file-commands.ts';
import { parseBytes, parseDuration } from './units.ts';
import type { UserCommand, WebHook } from './user-command.ts';

const SIZE = 'must be a size such as "50MB" or "2GiB", or a number of bytes';
const DURATION = 'must be a duration such as "30s", "36h" or "100d"';
const WEBHOOK = 'must be an http:// or https:// address';

const size = z
  .union([z.string(), z.number()], { error: SIZE })
  .check(
    z.refine((value) => (typeof value === 'number' ? Number.isSafeInteger(value) && value >= 0 : reads(() => parseBytes(value))), { error: SIZE }),
  );
const duration = z.string({ error: DURATION }).check(z.refine((value) => reads(() => parseDuration(value)), { error: DURATION }));

export const healthSchema = z.strictObject(
  {
    max_age: z.optional(duration),
    min_free: z.optional(size),
    max_wal: z.optional(size),
    drill_every: z.optional(duration),
    notify: z.optional(commandSchema),
    webhook: z.optional(
      z.string({ error: WEBHOOK }).check(z.refine((value) => /^https?:\/\//.test(value) && URL.canParse(value), { error: WEBHOOK })),
    ),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table' : undefined) },
);

/** Only the keys that are set. */
export function healthPart({ max_age, min_free, max_wal, drill_every, notify, webhook }: z.infer<typeof healthSchema>, source: string) {
  const commands: { notify?: UserCommand; webhook?: WebHook } = {
    ...(notify === undefined ? {} : { notify: userCommand(notify, 'health.notify', source) }),
    ...(webhook === undefined ? {} : { webhook: { from: source, key: 'health.webhook', request: { url: webhook } } }),
  };
  return {
    ...(max_age === undefined ? {} : { maxAge: parseDuration(max_age) }),
    ...(min_free === undefined ? {} : { minFree: bytesOf(min_free) }),
    ...(max_wal === undefined ? {} : { maxWal: bytesOf(max_wal) }),
    ...(drill_every === undefined ? {} : { drillEvery: parseDuration(drill_every) }),
    ...commands,
  };
}

function bytesOf(value: string | number): number {
  return typeof value === 'number' ? value : parseBytes(value);
}

function reads(read: () => number): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}
