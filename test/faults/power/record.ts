// What trials gave, one JSON line each, where CORA_TEST_RESULTS names a directory: a full run can be stopped and goes on
// where it was. Without it nothing is kept.

import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Line = {
  /** What was tried: the same in each run. */
  readonly point: string;
  readonly code: number | null | undefined;
  readonly violations: readonly string[];
  readonly [more: string]: unknown;
};

export class Results {
  readonly #file: string | undefined;
  readonly #lines = new Map<string, Line>();

  /** @param section the name of the file */
  constructor(section: string) {
    const directory = process.env['CORA_TEST_RESULTS'];
    if (directory === undefined) return;
    mkdirSync(directory, { recursive: true });
    this.#file = join(directory, `${section}.jsonl`);
    const text = existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : '';
    for (const line of text.split('\n').filter((one) => one.endsWith('}'))) {
      const parsed = JSON.parse(line) as Line;
      this.#lines.set(parsed.point, parsed);
    }
  }

  has(point: string): boolean {
    return this.#lines.has(point);
  }

  add(line: Line): void {
    this.#lines.set(line.point, line);
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(line)}\n`);
  }

  /** Points, with what was broken at each. */
  broken(): string[] {
    return [...this.#lines.values()].flatMap(({ point, violations }) => violations.map((violation) => `${point}: ${violation}`));
  }

  get count(): number {
    return this.#lines.size;
  }
}

/** The kinds of the slow run, or of a part of it: CORA_TEST_PART=xfs. */
export function partOf<T extends { readonly name: string }>(kinds: readonly T[]): readonly T[] {
  const part = process.env['CORA_TEST_PART'];
  return part === undefined ? kinds : kinds.filter(({ name }) => name === part);
}
