// Help texts, made from the table of commands. Pure; pinned by snapshots in test/cli-help.test.ts.

import { EXIT } from '../base/errors.ts';
import { table } from './columns.ts';
import type { Command } from './command.ts';
import { type FlagSpec, type FlagTable, flagName, GLOBAL_FLAGS, isOnByDefault, variableName } from './flags.ts';

/** Every exit code by number (docs/exit-codes.md). */
export const EXIT_MEANING: Readonly<Record<number, string>> = {
  [EXIT.ok]: 'done',
  [EXIT.failed]: 'failed; nothing new is visible',
  [EXIT.usage]: 'the command line, a variable or the configuration is wrong',
  [EXIT.incomplete]: 'done but incomplete; each problem is listed',
  [EXIT.noVault]: "no vault, or not this project's",
  [EXIT.locked]: 'another run holds the vault',
  [EXIT.remote]: 'the remote failed; what is local is fine',
  [EXIT.refused]: 'refused; it needs a person or --yes',
  [EXIT.damaged]: 'damage found; each damaged file is named',
  [EXIT.tooOld]: 'the newest good backup is too old',
  [EXIT.notRun]: 'the command was not run: no backup could be made before it',
  [EXIT.interrupted]: 'interrupted',
};

/** `cora COMMAND --help`. */
export function commandLines(entry: Command): string[] {
  const own = flagLines(entry.flags);
  return [
    entry.summary,
    ...(entry.about ?? []),
    '',
    `Usage: cora ${[entry.name, entry.usage].filter((part) => part !== '').join(' ')} [OPTIONS]`,
    ...(entry.aliases === undefined ? [] : [`Also:  ${entry.aliases.map((alias) => `cora ${alias}`).join(', ')}`]),
    ...(own.length === 0 ? [] : ['', 'Options:', ...own]),
    '',
    'Options of every command:',
    ...flagLines(GLOBAL_FLAGS),
    `Each option but --help and --version is also a variable: ${exampleOf(entry.flags)}.`,
    '',
    'Examples:',
    ...table(entry.examples.map(([typed, does]) => [`  ${typed}`, does])),
    '',
    'Exit codes:',
    ...entry.exitCodes.map((code) => `  ${String(code).padStart(3)}  ${EXIT_MEANING[code] ?? ''}`),
  ];
}

function exampleOf(flags: FlagTable): string {
  const names = Object.keys(flags).filter((name) => flags[name]?.variable !== false);
  const key = names.find((name) => /[A-Z]/.test(name)) ?? names[0] ?? 'vault';
  return `${flagName(key)} is ${variableName(key)}`;
}

function flagLines(flags: FlagTable): string[] {
  return table(Object.entries(flags).map(([key, spec]) => [`  ${synopsis(key, spec)}`, spec.help]));
}

function synopsis(key: string, spec: FlagSpec): string {
  const short = spec.short === undefined ? '    ' : `-${spec.short}, `;
  if (isOnByDefault(spec)) return `${short}${flagName(key)}=false`;
  return `${short}${flagName(key)}${spec.kind === 'switch' || spec.kind === 'count' ? '' : ` ${spec.value}`}`;
}

/** The table as data, for `cora help --json`. */
export function commandDocument(entry: Command): object {
  return {
    name: entry.name,
    aliases: entry.aliases ?? [],
    summary: entry.summary,
    usage: `cora ${[entry.name, entry.usage].filter((part) => part !== '').join(' ')}`,
    options: Object.entries<FlagSpec>({ ...entry.flags, ...GLOBAL_FLAGS }).map(([key, spec]) => ({
      name: flagName(key),
      short: spec.short === undefined ? null : `-${spec.short}`,
      variable: spec.variable === false ? null : (variableName(key) ?? null),
      value: 'value' in spec ? spec.value : null,
      help: spec.help,
    })),
    exit_codes: entry.exitCodes,
  };
}
