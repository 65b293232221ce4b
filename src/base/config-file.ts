// One configuration file: TOML text to the keys it sets, checked. The only user of smol-toml and
// zod, which take longer to load than a save takes; import this through config.ts `parseConfig`.
// Invariant: an unknown or wrong key is an error, never ignored: a typing slip must not switch off protection.

import { parse, TomlError } from 'smol-toml';
import * as z from 'zod/mini';
import { artefactsPart, artefactsSchema } from './config-file-artefacts.ts';
import { checksPart, checksSchema, commandSchema, userCommand } from './config-file-commands.ts';
import { healthPart, healthSchema } from './config-file-health.ts';
import { offsitePart, offsiteSchema } from './config-file-offsite.ts';
import { phrasesSchema } from './config-file-phrases.ts';
import { CoraError, messageOf } from './errors.ts';
import { overlookedHookKey } from './hook-lines.ts';
import { nearest } from './nearest.ts';
import { PRESET_NAMES, WEEKDAYS } from './retention-rules.ts';
import { parseBytes, parseDuration } from './units.ts';

const SIZE = 'a size such as "50MB" or "2GiB", or a number of bytes';
const DURATION = 'a duration such as "30s", "5m" or "6h"';

const size = z
  .union([z.string(), z.number()], { error: `must be ${SIZE}` })
  .check(z.refine((value) => sizeOf(value) !== undefined, { error: `must be ${SIZE}` }));
const duration = z
  .string({ error: `must be ${DURATION}` })
  .check(z.refine((value) => durationOf(value) !== undefined, { error: `must be ${DURATION}` }));
const flag = z.boolean({ error: 'must be true or false' });
const COUNT = 'must be a whole number above 0';
const count = z.int({ error: COUNT }).check(z.positive({ error: COUNT }));
const PATTERNS = 'must be a list of gitignore patterns such as ["*.log", "/build/"]';
const patterns = z.array(z.string({ error: PATTERNS }).check(z.regex(/^[^\n\r\0]+$/, { error: PATTERNS })), { error: PATTERNS });
const NAME = 'must begin with a letter or digit and hold only letters, digits, dots, dashes and underscores, 64 at most';
const VAULT = 'must be an absolute path, or begin with ~/';

const PRESET = PRESET_NAMES.map((name) => `"${name}"`).join(', ');
const RULES = `must be one of ${PRESET}, or a table such as { daily = 7, weekly = 4 } (also last, hourly, monthly, yearly, within, preset)`;
const tier = z.optional(z.int().check(z.nonnegative()));
const tiers = { last: tier, hourly: tier, daily: tier, weekly: tier, monthly: tier, yearly: tier };
const rules = z.optional(
  z.union([z.enum(PRESET_NAMES), z.strictObject({ ...tiers, within: z.optional(duration), preset: z.optional(z.enum(PRESET_NAMES)) })], {
    error: RULES,
  }),
);

const schema = z.strictObject({
  name: z.optional(z.string({ error: NAME }).check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, { error: NAME }))),
  vault: z.optional(z.string({ error: VAULT }).check(z.regex(/^(\/|~\/)[^\0]*$/, { error: VAULT }))),
  logs: z.optional(patterns),
  log_cap: z.optional(size),
  large_file: z.optional(size),
  db_plain_max: z.optional(size),
  scan: z.optional(table({ exclude: z.optional(patterns), exclude_defaults: z.optional(flag), one_file_system: z.optional(flag) })),
  seal: z.optional(z.enum(['auto', 'off'], { error: 'must be "auto" or "off"' })),
  critical: z.optional(table({ patterns: z.optional(patterns), append_only: z.optional(patterns) })),
  databases: z.optional(table({ timeout: z.optional(duration) })),
  backup: z.optional(table({ min_age: z.optional(duration) })),
  rotate: z.optional(table({ patterns: z.optional(patterns), max_size: z.optional(size), max_lines: z.optional(count) })),
  restore: z.optional(table({ stop: z.optional(commandSchema), start: z.optional(commandSchema), command_timeout: z.optional(duration) })),
  artefacts: z.optional(artefactsSchema),
  drill: z.optional(table({ rto: z.optional(duration), rpo: z.optional(duration) })),
  checks: z.optional(checksSchema),
  health: z.optional(healthSchema),
  offsite: z.optional(offsiteSchema(rules)),
  phrases: z.optional(phrasesSchema),
  retention: z.optional(
    table({
      auto: z.optional(flag),
      saves: rules,
      backups: rules,
      week_starts: z.optional(z.enum(WEEKDAYS, { error: `must be a day of the week such as "monday"` })),
      max_size: z.optional(size),
    }),
  ),
  hook: z.optional(
    table({
      enabled: z.optional(flag),
      warn_size: z.optional(size),
      block_size: z.optional(z.union([z.enum(['auto', 'off']), size], { error: `must be "auto", "off" or ${SIZE}` })),
      budget: z.optional(duration),
      on_failure: z.optional(z.enum(['warn', 'block'], { error: 'must be "warn" or "block"' })),
      skip_branches: z.optional(patterns),
    }),
  ),
});

/** Every key in dotted form, for suggestions and for the page's test. */
export const CONFIG_KEYS: readonly string[] = Object.entries(schema.shape).flatMap(([key, value]) => {
  const inner = value.def.innerType;
  const tables = inner instanceof z.ZodMiniArray ? inner.def.element : inner;
  return tables instanceof z.ZodMiniObject ? Object.keys(tables.shape).map((name) => `${key}.${name}`) : [key];
});

function table<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.strictObject(shape, { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table' : undefined) });
}

/** See `parseConfig` in config.ts, which also checks that this gives a PartialConfig (naming that type here would be a cycle). */
export function parseConfigFile(text: string, source: string) {
  const result = schema.safeParse(parseToml(text, source), { reportInput: false });
  if (!result.success) throw invalid(source, result.error.issues);
  const {
    log_cap,
    large_file,
    db_plain_max,
    scan,
    critical,
    databases,
    backup,
    rotate,
    restore,
    artefacts,
    checks,
    drill,
    health,
    offsite,
    phrases,
    retention,
    hook,
    ...plain
  } = result.data;
  const overlooked = hook && overlookedHookKey(text, Object.keys(hook));
  if (overlooked !== undefined) {
    throw new CoraError('config_invalid', `${source}: hook.${overlooked} is written in a way that the push hook cannot read`, {
      hint: `write it as one line below [hook]: ${overlooked} = ...`,
      details: { source, key: `hook.${overlooked}` },
    });
  }
  return withoutUndefined({
    ...plain,
    logCap: log_cap === undefined ? undefined : sizeOf(log_cap),
    largeFile: large_file === undefined ? undefined : sizeOf(large_file),
    dbPlainMax: db_plain_max === undefined ? undefined : sizeOf(db_plain_max),
    scan: scan && withoutUndefined({ exclude: scan.exclude, excludeDefaults: scan.exclude_defaults, oneFileSystem: scan.one_file_system }),
    critical: critical && withoutUndefined({ patterns: critical.patterns, appendOnly: critical.append_only }),
    databases: databases && withoutUndefined({ timeout: databases.timeout === undefined ? undefined : durationOf(databases.timeout) }),
    backup: backup && withoutUndefined({ minAge: backup.min_age === undefined ? undefined : durationOf(backup.min_age) }),
    rotate:
      rotate &&
      withoutUndefined({
        patterns: rotate.patterns,
        maxSize: rotate.max_size === undefined ? undefined : sizeOf(rotate.max_size),
        maxLines: rotate.max_lines,
      }),
    restore:
      restore &&
      withoutUndefined({
        stop: restore.stop === undefined ? undefined : userCommand(restore.stop, 'restore.stop', source),
        start: restore.start === undefined ? undefined : userCommand(restore.start, 'restore.start', source),
        commandTimeout: restore.command_timeout === undefined ? undefined : durationOf(restore.command_timeout),
      }),
    artefacts: artefacts && artefactsPart(artefacts, source),
    drill:
      drill &&
      withoutUndefined({
        rto: drill.rto === undefined ? undefined : durationOf(drill.rto),
        rpo: drill.rpo === undefined ? undefined : durationOf(drill.rpo),
      }),
    checks: checks && checksPart(checks, source),
    health: health && healthPart(health, source),
    offsite: offsite && withoutUndefined({ ...offsitePart(offsite, source), retention: rulesPart(offsite.retention) }),
    phrases: phrases && withoutUndefined(phrases),
    retention: retention && retentionPart(retention),
    hook: hook && hookPart(hook),
  });
}

type RetentionTable = NonNullable<z.infer<typeof schema>['retention']>;

function retentionPart({ auto, saves, backups, week_starts, max_size }: RetentionTable) {
  return withoutUndefined({
    auto,
    saves: rulesPart(saves),
    backups: rulesPart(backups),
    weekStarts: week_starts,
    maxSize: max_size === undefined ? undefined : sizeOf(max_size),
  });
}

function rulesPart(spec: RetentionTable['saves']) {
  if (spec === undefined || typeof spec === 'string') return spec;
  const { within, ...numbers } = spec;
  return withoutUndefined({ ...numbers, within: within === undefined ? undefined : durationOf(within) });
}

type HookTable = NonNullable<z.infer<typeof schema>['hook']>;

function hookPart({ warn_size, block_size, budget, on_failure, skip_branches, enabled }: HookTable) {
  const blockSize: number | 'auto' | 'off' | undefined =
    block_size === undefined || block_size === 'auto' || block_size === 'off' ? block_size : sizeOf(block_size);
  return withoutUndefined({
    enabled,
    warnSize: warn_size === undefined ? undefined : sizeOf(warn_size),
    blockSize,
    budget: budget === undefined ? undefined : durationOf(budget),
    onFailure: on_failure,
    skipBranches: skip_branches,
  });
}

function parseToml(text: string, source: string): unknown {
  try {
    return parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    const where = error instanceof TomlError ? ` in line ${error.line}, column ${error.column}` : '';
    // smol-toml's message goes on with a picture of the line; the first line says what is wrong.
    const reason = messageOf(error)
      .split('\n')[0]
      ?.replace(/^Invalid TOML document: /, '');
    throw new CoraError('config_invalid', `${source} is not valid TOML${where}: ${reason}`, {
      hint: 'correct that line; docs/configuration.md has an example',
      cause: error,
    });
  }
}

function invalid(source: string, issues: readonly z.core.$ZodIssue[]): CoraError {
  const issue = issues[0];
  if (issue === undefined) return new CoraError('config_invalid', `${source} is not valid`);
  if (issue.code === 'unrecognized_keys') {
    const key = [...issue.path.filter((part) => typeof part === 'string'), issue.keys[0] ?? ''].join('.');
    const meant = nearestKey(key);
    return new CoraError('config_invalid', `${source} has an unknown key: ${key}`, {
      hint: meant === undefined ? 'docs/configuration.md lists every key' : `did you mean ${meant}?`,
      details: { source, key, nearest: meant ?? null },
    });
  }
  // A place inside a list is of no use to a reader: the key's name is.
  const key = issue.path.filter((part) => typeof part === 'string').join('.');
  return new CoraError('config_invalid', `${source}: ${key} ${issue.message}`, {
    hint: 'docs/configuration.md describes the key',
    details: { source, key },
  });
}

/** The right name in the wrong table is the commonest slip, so the last part is compared first. */
function nearestKey(key: string): string | undefined {
  const last = (name: string) => name.slice(name.lastIndexOf('.') + 1);
  const leaf = nearest(last(key), CONFIG_KEYS.map(last));
  const tables = CONFIG_KEYS.filter((known) => known.includes('.')).map((known) => known.slice(0, known.indexOf('.')));
  return nearest(key, [...CONFIG_KEYS, ...tables]) ?? CONFIG_KEYS.find((known) => last(known) === leaf);
}

function sizeOf(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  return attempt(() => parseBytes(value));
}

function durationOf(value: string): number | undefined {
  return attempt(() => parseDuration(value));
}

function attempt(parseValue: () => number): number | undefined {
  try {
    return parseValue();
  } catch {
    return undefined;
  }
}

type Defined<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as Defined<T>;
}
