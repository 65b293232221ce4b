// The command line as typed values: node:util parseArgs below, our own checks above it. Each
// option is also a variable (--if-older is CORA_IF_OLDER), and the command line wins. Invariant:
// whatever is not understood, in argv or in a variable, is a usage error (exit 2), never ignored.

import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { type Bytes, bytes, fromText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import { nearest } from '../base/nearest.ts';
import { parseDuration } from '../base/units.ts';

type FlagBase = {
  readonly short?: string;
  readonly aliases?: readonly string[];
  readonly help: string;
  /** False where a variable of that name is another command's. */
  readonly variable?: false;
};

/** One option. Its name is the key in its table: `ifOlder` is `--if-older` and `CORA_IF_OLDER`. */
export type FlagSpec =
  | (FlagBase & { readonly kind: 'switch' /** On where nobody says otherwise: typed as `--checkpoint=false`. */; readonly standard?: 'on' })
  | (FlagBase & { readonly kind: 'count' })
  | (FlagBase & { readonly kind: 'text' | 'path' | 'duration' | 'number' | 'list'; readonly value: string })
  | (FlagBase & { readonly kind: 'choice'; readonly value: string; readonly choices: readonly string[] });

export type FlagTable = Readonly<Record<string, FlagSpec>>;

type FlagValue<S extends FlagSpec> = S extends { readonly kind: 'choice'; readonly choices: readonly (infer C)[] }
  ? C
  : S['kind'] extends 'switch'
    ? boolean
    : S['kind'] extends 'path'
      ? Bytes
      : S['kind'] extends 'text'
        ? string
        : S['kind'] extends 'list'
          ? readonly string[]
          : number;

/** What a table's options are once parsed; absent where neither argv nor a variable gave one. Durations in milliseconds. */
export type OptionsOf<F extends FlagTable> = { readonly [K in keyof F]?: FlagValue<F[K]> };

export type Parsed<F extends FlagTable> = {
  readonly options: OptionsOf<F>;
  readonly args: readonly Bytes[];
  /** What stood after `--`: taken for paths, whatever it looks like. */
  readonly paths: readonly Bytes[];
};

/** Options of every command. */
export const GLOBAL_FLAGS = {
  vault: { kind: 'path', value: 'DIR', help: 'the vault directory itself, instead of the usual place' },
  json: { kind: 'switch', help: 'one JSON document on stdout (docs/json.md)' },
  quiet: { kind: 'switch', short: 'q', help: 'nothing but errors, problems and what was asked for' },
  verbose: { kind: 'count', short: 'v', help: 'say more; may be repeated' },
  yes: { kind: 'switch', short: 'y', help: 'answer questions with yes' },
  lockWait: { kind: 'duration', value: 'TIME', help: 'how long to wait for another run in the same vault (default 30s)' },
  progress: {
    kind: 'choice',
    value: 'HOW',
    choices: ['auto', 'bar', 'lines', 'json', 'none'],
    help: 'auto, bar, lines, json (JSON lines on stderr) or none',
  },
  noColor: { kind: 'switch', help: 'no colours; NO_COLOR does the same' },
  help: { kind: 'switch', short: 'h', help: 'show this help' },
  version: { kind: 'switch', help: 'show the version' },
} as const satisfies FlagTable;

export type GlobalOptions = OptionsOf<typeof GLOBAL_FLAGS>;

/** Options that no variable sets: a shell that exports them would take every command away. */
const NO_VARIABLE: ReadonlySet<string> = new Set(['help', 'version']);

const dashed = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
/** `ifOlder` as it is typed: `--if-older`. */
export const flagName = (key: string) => `--${dashed(key)}`;
/** `ifOlder` as a variable: `CORA_IF_OLDER`; undefined where there is none. */
export const variableName = (key: string) => (NO_VARIABLE.has(key) ? undefined : `CORA_${dashed(key).replaceAll('-', '_').toUpperCase()}`);

/**
 * The first word of an argument list that is no option, and the list without it.
 * @param table what may stand before it
 * @returns word undefined where there is none
 * @throws CoraError usage for an option before the word that the table does not know
 */
export function takeWord(args: readonly Bytes[], table: FlagTable): { readonly word: string | undefined; readonly rest: readonly Bytes[] } {
  for (const token of tokensOf(args, table)) {
    if (token.kind === 'option-terminator') break;
    if (token.kind === 'option' && keyOf(token.name, table) === undefined) throw unknownFlag(token.rawName, table, '');
    if (token.kind === 'positional') return { word: toText(bytes(token.value)), rest: args.filter((_, index) => index !== token.index) };
  }
  return { word: undefined, rest: args };
}

/**
 * Parses one command's arguments and its variables.
 * @param command for hints, as typed after `cora`
 * @throws CoraError usage
 */
export function parseFlags<F extends FlagTable>(
  args: readonly Bytes[],
  env: Readonly<Record<string, string | undefined>>,
  table: F,
  command: string,
): Parsed<F> {
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(table)) {
    const variable = spec.variable === false ? undefined : variableName(key);
    const text = variable === undefined ? undefined : env[variable];
    if (variable !== undefined && text !== undefined && text !== '') values[key] = fromVariable(spec, text, variable);
  }

  const positionals: Bytes[] = [];
  const paths: Bytes[] = [];
  const counts: Record<string, number> = {};
  const lists: Record<string, readonly string[]> = {};
  let terminated = false;
  for (const token of tokensOf(args, table)) {
    if (token.kind === 'option-terminator') terminated = true;
    else if (token.kind === 'positional') (terminated ? paths : positionals).push(bytes(token.value));
    else {
      const key = keyOf(token.name, table);
      const spec = key === undefined ? undefined : table[key];
      if (key === undefined || spec === undefined) throw unknownFlag(token.rawName, table, command);
      if (spec.kind === 'switch' || spec.kind === 'count') {
        if (token.value !== undefined && !isOnByDefault(spec))
          throw new CoraError('usage', `The option ${token.rawName} takes no value`, { hint: help(command) });
        counts[key] = (counts[key] ?? 0) + 1;
        values[key] = spec.kind === 'count' ? counts[key] : token.value === undefined ? true : truth(token.value, token.rawName);
      } else {
        const value = token.value;
        if (value === undefined) throw new CoraError('usage', `The option ${token.rawName} needs a value: ${spec.value}`, { hint: help(command) });
        if (!token.inlineValue && value.startsWith('-') && value.length > 1) {
          throw new CoraError('usage', `The option ${token.rawName} needs a value, and ${toText(bytes(value))} looks like an option`, {
            hint: `write it as ${flagName(key)}=${toText(bytes(value))} if you mean it`,
          });
        }
        const typed = typedValue(spec, bytes(value), token.rawName);
        // A list may be given several times, and with commas.
        if (Array.isArray(typed)) lists[key] = [...(lists[key] ?? []), ...(typed as readonly string[])];
        values[key] = lists[key] ?? typed;
      }
    }
  }
  return { options: values as OptionsOf<F>, args: positionals, paths };
}

/** True where the arguments or variables ask for JSON, even when nothing else about them is right. */
export function wantsJson(args: readonly string[], env: Readonly<Record<string, string | undefined>>): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end < 0 ? undefined : end).includes('--json') || /^(1|true|yes|on)$/i.test(env['CORA_JSON'] ?? '');
}

function tokensOf(args: readonly Bytes[], table: FlagTable) {
  const options: ParseArgsOptionsConfig = {};
  for (const [key, spec] of Object.entries(table)) {
    const type = spec.kind === 'switch' || spec.kind === 'count' ? 'boolean' : 'string';
    options[dashed(key)] = spec.short === undefined ? { type } : { type, short: spec.short };
    for (const alias of spec.aliases ?? []) options[alias] = { type };
  }
  // Not strict: parseArgs throws English of its own without a suggestion, and a word may come first.
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

function keyOf(name: string, table: FlagTable): string | undefined {
  return Object.keys(table).find((key) => dashed(key) === name || table[key]?.aliases?.includes(name));
}

function unknownFlag(rawName: string, table: FlagTable, command: string): CoraError {
  const typed = toText(bytes(rawName));
  const known = Object.keys(table).flatMap((key) => [flagName(key), ...(table[key]?.aliases ?? []).map((alias) => `--${alias}`)]);
  const meant = typed.startsWith('--')
    ? nearest(
        typed.slice(2),
        known.map((name) => name.slice(2)),
      )
    : undefined;
  return new CoraError('usage', `Unknown option ${typed}${command === '' ? '' : ` for cora ${command}`}`, {
    hint: meant === undefined ? help(command) : `did you mean --${meant}?`,
    details: { option: typed, nearest: meant === undefined ? null : `--${meant}` },
  });
}

const help = (command: string) => `see cora ${command === '' ? '' : `${command} `}--help`;

/** True for a switch that is on where nobody says otherwise; only such a one takes a value. */
export function isOnByDefault(spec: FlagSpec): boolean {
  return spec.kind === 'switch' && spec.standard === 'on';
}

function truth(text: string, name: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new CoraError('usage', `The option ${name} is true or false, not ${toText(bytes(text))}`, { hint: `${name}=false turns it off` });
}

function fromVariable(spec: FlagSpec, text: string, variable: string): unknown {
  if (spec.kind === 'switch' || spec.kind === 'count') {
    if (/^(1|true|yes|on)$/i.test(text)) return spec.kind === 'switch' ? true : 1;
    if (/^(0|false|no|off)$/i.test(text)) return spec.kind === 'switch' ? false : 0;
    if (spec.kind === 'count' && /^\d$/.test(text)) return Number(text);
    throw new CoraError('usage', `The variable ${variable} is not 1 or 0: ${text}`, { hint: 'correct it or unset it', details: { variable } });
  }
  return typedValue(spec, fromText(text), variable);
}

/** @param name the option or the variable, for messages */
function typedValue(spec: FlagSpec, value: Bytes, name: string): unknown {
  const text = toText(value);
  switch (spec.kind) {
    case 'path':
      if (value === '') throw new CoraError('usage', `${name} is empty`, { hint: 'give a path' });
      return value;
    case 'duration':
      try {
        return parseDuration(text);
      } catch (error) {
        throw new CoraError('usage', `${name} is not a duration: ${text}`, { hint: 'write it as 60s, 5m, 36h or 2d', cause: error });
      }
    case 'number':
      if (!/^\d{1,9}$/.test(text)) throw new CoraError('usage', `${name} is not a whole number: ${text}`);
      return Number(text);
    case 'choice':
      if (!spec.choices.includes(text)) {
        const meant = nearest(text, spec.choices);
        throw new CoraError('usage', `${name} does not know ${text}`, {
          hint: meant === undefined ? `it takes ${spec.choices.join(', ')}` : `did you mean ${meant}? It takes ${spec.choices.join(', ')}`,
        });
      }
      return text;
    case 'list':
      return text.split(',').filter((item) => item !== '');
    default:
      return text;
  }
}
