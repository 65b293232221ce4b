// Figures of a run: a JSON line in the directory that CORA_TEST_RESULTS names, so that a run in parts can be added up.

import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Appends `figures` to `<name>.jsonl` there; does nothing where no directory is named. */
export function keepFigures(name: string, figures: Readonly<Record<string, unknown>>): void {
  const directory = process.env['CORA_TEST_RESULTS'];
  if (directory === undefined) return;
  mkdirSync(directory, { recursive: true });
  appendFileSync(join(directory, `${name}.jsonl`), `${JSON.stringify(figures)}\n`);
}
