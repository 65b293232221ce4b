// The manual page, made from the table of commands (man 7 macros). Pure. Invariant: no text of the table is taken
// for a request of roff.

import type { Command } from './command.ts';
import { type FlagSpec, type FlagTable, flagName, GLOBAL_FLAGS, isOnByDefault, variableName } from './flags.ts';
import { EXIT_MEANING } from './help.ts';

/** `cora.1`. */
export function manualPage(commands: readonly Command[], version: string): string {
  return [
    `.TH CORA 1 "" ${quoted(`Cora ${version}`)} "User Commands"`,
    '.SH NAME',
    'cora \\- saves and backs up a project: files git never held, and databases in use',
    '.SH SYNOPSIS',
    '.B cora',
    '.I COMMAND',
    '[\\fIOPTIONS\\fR]',
    '.SH DESCRIPTION',
    paragraph(
      'A save is a cheap, deduplicated point in time. A backup is complete on its own, read back and checked. Both lie in a vault outside of the project, which can be read with tar, gzip and coreutils alone (restore.sh in the vault).',
    ),
    '.SH COMMANDS',
    ...commands.flatMap(commandSection),
    '.SH OPTIONS OF EVERY COMMAND',
    ...options(GLOBAL_FLAGS),
    '.SH EXIT STATUS',
    ...Object.entries(EXIT_MEANING).flatMap(([code, meaning]) => ['.TP', `.B ${code}`, line(meaning)]),
    '.SH ENVIRONMENT',
    paragraph(
      'Each option is also a variable: --if-older is CORA_IF_OLDER. CORA_VAULT names the vault directory, CORA_LOG the run log; NO_COLOR turns colours off.',
    ),
    '.SH FILES',
    ...entry('cora.toml', 'the configuration of a project, all of it optional'),
    ...entry('/var/backups/NAME, ~/.local/state/cora/NAME', 'the vault, as root and as another user'),
    ...entry('/var/lib/cora, ~/.local/state/cora', 'what Cora remembers of this machine'),
    '.SH SEE ALSO',
    '.BR tar (1),',
    '.BR chattr (1),',
    '.BR rclone (1),',
    '.BR age (1)',
  ].join('\n');
}

function commandSection({ name, usage, aliases, summary, about, flags, examples }: Command): string[] {
  return [
    `.SS ${quoted(['cora', name, usage].filter((part) => part !== '').join(' '))}`,
    paragraph(`${summary}.`),
    ...(about ?? []).map(paragraph),
    ...(aliases === undefined ? [] : [paragraph(`Also: ${aliases.map((alias) => `cora ${alias}`).join(', ')}.`)]),
    ...options(flags),
    '.P',
    'Examples:',
    ...examples.flatMap(([typed, does]) => entry(typed, does)),
  ];
}

function options(flags: FlagTable): string[] {
  return Object.entries(flags).flatMap(([key, spec]) => entry(synopsis(key, spec), described(key, spec)));
}

function synopsis(key: string, spec: FlagSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  return `${short}${flagName(key)}${isOnByDefault(spec) ? '=false' : 'value' in spec ? ` ${spec.value}` : ''}`;
}

function described(key: string, spec: FlagSpec): string {
  const variable = spec.variable === false ? undefined : variableName(key);
  return `${spec.help}${variable === undefined ? '' : ` (${variable})`}`;
}

const entry = (term: string, text: string) => ['.TP', `.B ${quoted(term)}`, line(text)];
const paragraph = (text: string) => `.P\n${line(text)}`;

/** A line of text: no escape of roff, and no request at its beginning. */
function line(text: string): string {
  const plain = escaped(text);
  return /^[.']/.test(plain) ? `\\&${plain}` : plain;
}

/** One argument of a request. */
const quoted = (text: string) => `"${escaped(text).replaceAll('"', '\\(dq')}"`;

/** Options keep their ASCII signs, so that they can be copied out of the page. */
const escaped = (text: string) =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti');
