// Output that fits the terminal: widths, tables that give way, lines broken between words and never within a
// command; and the real commands in a real terminal of 60 and 80 columns.

import { expect, test } from 'vitest';
import { formatWhen } from '../src/base/units.ts';
import { cutText, displayWidth, paintLine, table, wrapLines } from '../src/cli/columns.ts';
import { findProgram } from '../src/os/run.ts';
import { Sandbox } from './support/sandbox.ts';
import { TerminalWindow } from './support/terminal-window.ts';

test('width is what a terminal shows', () => {
  expect(['abc', '', 'naïve', 'e\u0301', '日本', '👩‍👩‍👧', 'ab…'].map(displayWidth)).toEqual([3, 0, 5, 1, 4, 2, 3]);
  expect(cutText('before the migration', 10)).toBe('before th…');
  expect(cutText('日本語日本語', 6)).toBe('日本…');
  expect(cutText('short', 5)).toBe('short');
});

test('a table gives up columns in order, then cuts its last one', () => {
  const rows = [
    ['ID', 'FILES', 'NOTE'],
    ['20261121', '1,204', 'before the great migration'],
    ['20261122', '7', ''],
  ];
  const fitted = (width: number | undefined) => table(rows, new Set([1]), { width, dispensable: [1] });
  expect(fitted(undefined)).toEqual(table(rows, new Set([1])));
  expect(fitted(50)).toEqual(['ID        FILES  NOTE', '20261121  1,204  before the great migration', '20261122      7']);
  expect(fitted(34)).toEqual(['ID        FILES  NOTE', '20261121  1,204  before the great…', '20261122      7']);
  expect(fitted(26)).toEqual(['ID        NOTE', '20261121  before the grea…', '20261122']);
  for (const width of [60, 40, 26, 20, 12]) for (const line of fitted(width)) expect(displayWidth(line)).toBeLessThanOrEqual(width);
});

test('long lines break between words, below their own column', () => {
  expect(wrapLines(['Sealed    yes: the kernel lets nobody change or delete it (chattr +i)'], 40)).toEqual([
    'Sealed    yes: the kernel lets nobody',
    '          change or delete it (chattr',
    '          +i)',
  ]);
  expect(wrapLines(['short', '', '  indented'], 20)).toEqual(['short', '', '  indented']);
  const path = `/very/${'long/'.repeat(20)}path`;
  expect(wrapLines([`Path      ${path}`], 40)).toEqual([`Path      ${path}`]);
});

test('a command is never broken: half of one must not be run by a paste', () => {
  const command = 'cora restore 20261121-143000-1a2b3c4 notes.db --confirm-service-stopped';
  const lines = wrapLines([`warning: The file notes.db is gone since yesterday. ${command}`, `Restore: ${command}; or ask somebody who knows`], 40);
  expect(lines.filter((line) => line.includes(command))).toHaveLength(2);
  expect(lines.filter((line) => line.includes('cora restore'))).toHaveLength(2);
  const spoken = 'cora say --apply 1a2b3c "restore notes.db, in place and at once" --live';
  expect(
    wrapLines([`Nothing was done yet; to go on: ${spoken}`, `or (${spoken}), when it is right`], 40).filter((line) => line.includes(spoken)),
  ).toHaveLength(2);
  expect(wrapLines(['warning: No copy of the vault leaves this machine. cora lost lists what went and cora status says the rest'], 40)).toEqual([
    'warning: No copy of the vault leaves',
    '         this machine. cora lost lists',
    '         what went and cora status says',
    '         the rest',
  ]);
});

test('colour is for the words a person looks for', () => {
  const paint = {
    red: (text: string) => `<r>${text}</r>`,
    yellow: (text: string) => `<y>${text}</y>`,
    green: (text: string) => `<g>${text}</g>`,
    dim: String,
  };
  expect(['DAMAGED x', 'warning: y', 'OK z', 'Verify NOT GOOD', 'a DAMAGED word, all OK'].map((line) => paintLine(line, paint))).toEqual([
    '<r>DAMAGED</r> x',
    '<y>warning:</y> y',
    '<g>OK</g> z',
    'Verify <r>NOT GOOD</r>',
    'a DAMAGED word, all OK',
  ]);
});

test('a time of day today, a date this year, all of it else', () => {
  const now = new Date(2026, 10, 21, 18, 0).getTime();
  const when = (...at: [number, number, number, number, number]) => formatWhen(new Date(...at).getTime(), now);
  expect([when(2026, 10, 21, 6, 5), when(2026, 10, 20, 16, 34), when(2025, 0, 2, 3, 4)]).toEqual(['06:05', 'Nov 20 16:34', '2025-01-02 03:04']);
});

const missing = findProgram('tmux') === undefined ? ' (skipped: no tmux)' : '';
test.skipIf(missing !== '')(`list, status and help fit terminals of 60 and 80 columns; NO_COLOR means none${missing}`, async () => {
  const sandbox = new Sandbox();
  const windows: TerminalWindow[] = [];
  try {
    await sandbox.cora(['save', '-m', 'a note that is longer than any terminal of 60 columns can show beside an id']);
    await sandbox.cora(['backup', 'now', '-l', 'a-label-of-some-length']);
    const env = { PATH: process.env['PATH'] ?? '', HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: `${sandbox.root}/cora.log`, PS1: '$ ' };
    const cora = `${import.meta.dirname}/../bin/cora`;
    for (const columns of [60, 80]) {
      const window = await TerminalWindow.open(sandbox.root, { command: 'sh', cwd: sandbox.project, env, columns, rows: 200 });
      windows.push(window);
      await window.type(`c=${cora}; clear; $c list; $c status; $c --help; $c save --help; echo e\\nd`);
      await window.press('Enter');
      const screen = await window.until(/\ne\\?nd\n/);
      // What the terminal itself had to break would go on in the first column, in the middle of a word.
      const joined = await window.joined();
      const tooLong = joined.split('\n').filter((line) => displayWidth(line) > columns && !line.startsWith('$') && !line.includes(sandbox.root));
      expect(tooLong).toEqual([]);
      expect(screen).toMatch(/…/);
      expect(screen).toMatch(/Save +\d+ s ago \(\d\d:\d\d\)/);
      await window.type(`clear; $c status | cat; NO_COLOR=1 $c status; echo f\\im`);
      await window.press('Enter');
      await window.until(/\nf\\?im\n/);
      expect(await window.colours()).not.toContain('\x1b[3');
      await window.type('clear; $c status; echo g\\um');
      await window.press('Enter');
      await window.until(/\ng\\?um\n/);
      expect(await window.colours()).toContain('\x1b[33m');
    }
  } finally {
    for (const window of windows) await window.close();
    await sandbox.remove();
  }
});
