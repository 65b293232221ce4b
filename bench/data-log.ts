// Data set C: one JSON-lines log that only grows, and four files of incompressible bytes as large
// together as the log.

import { closeSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { phrase, proseWords, type Random, seededBytes, seededRandom } from './seeded.ts';

/** The name of the log; not `*.log`, which Cora would cap in the archive of a backup. */
export const LOG_NAME = 'events.jsonl';
const LEVELS = ['info', 'info', 'debug', 'warn'];
const EVENTS = ['tool_call', 'memory_write', 'recall', 'heartbeat'];
const RANDOM_FILES = 4;

/** Writes the log and the random files, `bytes` bytes each kind. */
export function makeLog(directory: string, bytes: number): void {
  mkdirSync(directory, { recursive: true });
  appendLines(join(directory, LOG_NAME), bytes, seededRandom(3));
  const next = seededBytes(3);
  for (let index = 0; index < RANDOM_FILES; index += 1) {
    const file = openSync(join(directory, `model-${index}.bin`), 'w');
    for (let left = bytes / RANDOM_FILES; left > 0; left -= 1_000_000) writeSync(file, next(Math.min(left, 1_000_000)));
    closeSync(file);
  }
}

/** Appends `fraction` of the log's size. */
export function growLog(directory: string, fraction: number, seed: number): void {
  const path = join(directory, LOG_NAME);
  appendLines(path, statSync(path).size * fraction, seededRandom(seed));
}

function appendLines(path: string, bytes: number, random: Random): void {
  const words = proseWords(20_000);
  const file = openSync(path, 'a');
  let time = 1.7e9;
  let lines = '';
  for (let written = 0; written < bytes; ) {
    time += random.unit() * 2;
    const line = JSON.stringify({
      ts: Math.round(time * 1000) / 1000,
      level: random.pick(LEVELS),
      event: random.pick(EVENTS),
      session: random.hex16(),
      msg: phrase(random, words, random.between(5, 60)),
      ms: random.between(0, 5000),
    });
    lines += `${line}\n`;
    written += line.length + 1;
    if (lines.length > 1_000_000 || written >= bytes) {
      writeSync(file, lines);
      lines = '';
    }
  }
  closeSync(file);
}
