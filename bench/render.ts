// Figures and judgements as text for a terminal and as markdown for a document. Pure.

import type { Figure, Judgement } from './results.ts';

const megabytes = (bytes: number | null): string => (bytes === null ? '' : (bytes / 1e6).toFixed(Math.abs(bytes) < 10e6 ? 2 : 0));
const seconds = (value: number): string => (Number.isNaN(value) ? '' : value.toFixed(2));

const FIGURE_HEAD = ['set', 'step', 'tool', 'wall s', 'cpu s', 'peak MB', 'stored MB', 'grown MB', 'rounds', ''];

function figureRow(figure: Figure): string[] {
  return [
    figure.set,
    figure.step,
    figure.tool,
    seconds(figure.wall),
    seconds(figure.cpu),
    megabytes(figure.peak),
    megabytes(figure.stored),
    megabytes(figure.grown),
    String(figure.rounds),
    figure.failure === null ? '' : `FAILED: ${figure.failure.split('\n', 1)[0]}`,
  ];
}

const RATIO_HEAD = ['cora', 'against', 'ratio', 'budget', ''];

function ratioRow(judgement: Judgement): string[] {
  const ratio = judgement.ratio === null ? '' : judgement.ratio.toFixed(2);
  return [judgement.what, judgement.against, ratio, judgement.budget.toFixed(2), judgement.verdict];
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function markdownTable(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  return [head, `|${' --- |'.repeat(rows[0]?.length ?? 0)}`, ...body].join('\n');
}

/** The two tables for a terminal; the second only when Cora ran. */
export function renderText(figures: readonly Figure[], judgements: readonly Judgement[]): string {
  const tables = [aligned([FIGURE_HEAD, ...figures.map(figureRow)])];
  if (judgements.length > 0) tables.push(aligned([RATIO_HEAD, ...judgements.map(ratioRow)]));
  return tables.join('\n\n');
}

/** The same as markdown, with what the figures depend on above them. */
export function renderMarkdown(figures: readonly Figure[], judgements: readonly Judgement[], facts: readonly string[]): string {
  const parts = [facts.map((fact) => `- ${fact}`).join('\n'), markdownTable([FIGURE_HEAD, ...figures.map(figureRow)])];
  if (judgements.length > 0) parts.push(markdownTable([RATIO_HEAD, ...judgements.map(ratioRow)]));
  return parts.join('\n\n');
}
