// node test/faults/power/figures.ts DIRECTORY: the tables of docs/reliability.md from the JSON lines of a full run.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Line } from './record.ts';

const directory = process.argv[2] ?? '.';

function read(section: string): Line[] {
  const file = join(directory, `${section}.jsonl`);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Line);
}

/** Rows by the first word of a point, columns by what `column` says. */
function table(title: string, lines: readonly Line[], column: (line: Line) => string): string {
  const columns = [...new Set(lines.map(column))].sort();
  const rows = [...new Set(lines.map(rowOf))];
  const count = (row: string | undefined, name: string | undefined): number =>
    lines.filter((line) => (row === undefined || rowOf(line) === row) && (name === undefined || column(line) === name)).length;
  const broken = (row?: string): number => lines.filter((line) => line.violations.length > 0 && (row === undefined || rowOf(line) === row)).length;
  const line = (name: string, row?: string): string =>
    `| ${name} | ${columns.map((one) => count(row, one)).join(' | ')} | ${count(row, undefined)} | ${broken(row)} |`;
  return [
    `| ${title} | ${columns.join(' | ')} | all | broken promises |`,
    `|${' --- |'.repeat(columns.length + 3)}`,
    ...rows.map((row) => line(row, row)),
    line('all'),
  ].join('\n');
}

const rowOf = ({ point }: Line): string => point.split(', ')[0] ?? '';
const part = (at: number) => (line: Line) => String(line.point.split(', ').at(at) ?? '').replace(/ \d+$/, '');

const text = [
  table('power cuts', read('power-cuts'), part(-1)),
  table('disks after a cut', read('power-blocks'), (line) => String(line['loss'])),
  table('disk faults', read('disk-faults'), (line) => line.point.split(', ')[1] ?? ''),
].join('\n\n');
process.stdout.write(`${text}\n`);
