// The code that `cora shell` prints: the templates in shell/, filled with the table of commands. Invariant: whatever
// comes in from outside (paths) is quoted for the shell that reads it.

import { readFileSync } from 'node:fs';
import type { Command } from './command.ts';
import { type FlagSpec, flagName, GLOBAL_FLAGS } from './flags.ts';

export type ShellName = 'bash' | 'zsh' | 'fish';

export type ShellSetup = {
  /** Real path of bin/cora. */
  readonly launcher: string;
  /** The directory of Cora's own state. */
  readonly state: string;
  readonly prompt: boolean;
  readonly phrases: boolean;
};

/**
 * What there is to complete, one row each, parted by tabs: `c COMMAND help` and `g GROUP help` (first words),
 * `w GROUP WORD help`, `f COMMAND OPTION VALUE help` (COMMAND `*`: every one; VALUE `-`: none) and `a COMMAND KINDS`.
 */
export function completionRows(commands: readonly Command[]): string[] {
  const rows: string[] = [];
  const groups = new Set<string>();
  for (const entry of commands) {
    for (const name of [entry.name, ...(entry.aliases ?? [])]) {
      const [first = '', second] = name.split(' ');
      if (second === undefined) rows.push(row('c', name, entry.summary));
      else {
        if (!groups.has(first)) rows.push(row('g', first, `${namesIn(first, commands)}`));
        groups.add(first);
        rows.push(row('w', first, second, entry.summary));
      }
      rows.push(...flagRows(name, Object.entries(entry.flags)));
      const kinds = argumentKinds(entry.usage);
      if (kinds.length > 0) rows.push(row('a', name, kinds.join(' ')));
    }
  }
  return [...rows, ...flagRows('*', Object.entries<FlagSpec>(GLOBAL_FLAGS))];
}

const row = (...fields: readonly string[]) => fields.map((field) => field.replace(/[\t\n]/g, ' ')).join('\t');

function namesIn(group: string, commands: readonly Command[]): string {
  return commands.flatMap(({ name }) => (name.startsWith(`${group} `) ? [name.slice(group.length + 1)] : [])).join(', ');
}

function flagRows(command: string, flags: readonly (readonly [string, FlagSpec])[]): string[] {
  return flags.flatMap(([key, spec]) => {
    const names = [flagName(key), ...(spec.short === undefined ? [] : [`-${spec.short}`])];
    return names.map((name) => row('f', command, name, valueKind(spec), spec.help));
  });
}

function valueKind(spec: FlagSpec): string {
  if (spec.kind === 'switch' || spec.kind === 'count') return '-';
  if (spec.kind === 'choice') return `choice:${spec.choices.join(' ')}`;
  return spec.kind === 'path' || /^(DIR|FILE|OUT|COPY|TARGET)$/.test('value' in spec ? spec.value : '') ? 'path' : spec.kind;
}

/** What stands at each place of a usage line: `[ID | @WHEN] [PATH...] [--to DIR]` is id, path. The last one repeats. */
export function argumentKinds(usage: string): string[] {
  const kinds: string[] = [];
  // Options with what they take are not arguments; behind `--` stands another program's line.
  const words = usage
    .replace(/ -- .*/, '')
    .replace(/\[[^[\]]*-[^[\]]*(\[[^\]]*\][^[\]]*)*\]/g, ' ')
    .split(/[\s[\]]+/);
  for (const word of words) {
    const name = word.replace(/\.\.\.$/, '');
    if (/^[a-z-]+(\|[a-z-]+)+$/.test(name)) kinds.push(`choice:${name.replaceAll('|', ',')}`);
    else if (name === 'ID') kinds.push('id');
    else if (name === 'COMMAND') kinds.push('command');
    else if (/^(PATH|FILE|DIR|COPY|REMOTE)$/.test(name)) kinds.push('path');
    else if (/^[A-Z:]+$/.test(name)) kinds.push('other');
  }
  return kinds;
}

/** The code for one shell. */
export function shellCode(shell: ShellName, commands: readonly Command[], setup: ShellSetup): string {
  const quote = shell === 'fish' ? fishQuote : shQuote;
  const rows = completionRows(commands);
  const text = { IF_PROMPT: setup.prompt, IF_PHRASES: setup.phrases };
  const lines: string[] = [];
  let dropped = false;
  for (const line of template(`cora.${shell}`).split('\n')) {
    const mark = /^@(IF_PROMPT|IF_PHRASES|END)@$/.exec(line)?.[1];
    if (mark === 'END') dropped = false;
    else if (mark === 'IF_PROMPT' || mark === 'IF_PHRASES') dropped = !text[mark];
    else if (dropped) continue;
    else if (line === '@PROMPT_SH@') lines.push(body('prompt.sh'));
    else if (line === '@PHRASE_SH@') lines.push(body('phrase.sh'));
    else if (line === '@ROWS@') lines.push(rows.join('\n'));
    else
      lines.push(
        line
          .replace('@PROGRAM@', () => quote(setup.launcher))
          .replace('@STATE@', () => quote(setup.state))
          .replace('@ROWS@', () => rows.map(fishQuote).join(' ')),
      );
  }
  return lines.join('\n');
}

/** What a configuration file of another program needs to show the segment. */
export function statusLineSnippet(program: 'starship' | 'tmux' | 'claude', script: string): string[] {
  const command = `sh ${shQuote(script)}`;
  if (program === 'starship')
    return [
      '# ~/.config/starship.toml: shows nothing when all is well',
      '[custom.cora]',
      `command = ${JSON.stringify(command)}`,
      'when = true',
      'shell = ["sh"]',
      'format = "[($output )]($style)"',
      'style = "yellow"',
    ];
  // q: tmux quotes the name of the directory, which anybody may have chosen, for the shell.
  if (program === 'tmux') return ['# ~/.tmux.conf: shows nothing when all is well', `set -ga status-right " #(${command} #{q:pane_current_path})"`];
  return [JSON.stringify({ statusLine: { type: 'command', command: `${command} --claude` } }, null, 2)];
}

function template(name: string): string {
  return readFileSync(new URL(`./shell/${name}`, import.meta.url), 'utf8').trimEnd();
}

/** A part without the comment at its top, which explains it to those who change it. */
function body(name: string): string {
  return template(name)
    .replace(/^(#.*\n)+/, '')
    .trim();
}

export function shQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
