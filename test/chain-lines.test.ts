// The ledger's lines may be of any length: the last one is found, the next one follows it, and a tail
// that a crash cut is taken away whole.

import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { appendLine, findLast, readChain, readHead } from '../src/vault/chain.ts';

test.each([10, 4000, 4096, 5000, 40_000, 300_000])(
  'a line with %i bytes of paths is followed by others, and a torn one of that length is removed',
  (length) => {
    const vault = mkdtempSync(join(tmpdir(), 'cora-chain-'));
    try {
      mkdirSync(join(vault, 'ledger'));
      const line = { kind: 'restore', id: '20261121-031500-nogit', time: '2026-11-21T03:15:00.000Z', sums: '-', extra: '-' };
      for (const extra of ['-', 'p'.repeat(length), '-', 'q'.repeat(length)]) {
        const before = readHead(vault);
        const head = appendLine(vault, before, { ...line, extra });
        expect(readHead(vault)).toEqual(head);
        expect(head.sequence).toBe(before.sequence + 1);
      }
      const chain = join(vault, 'ledger/chain.log');
      const whole = readFileSync(chain, 'utf8');
      appendFileSync(chain, `5 restore ${'t'.repeat(length)}`);
      expect(readHead(vault).sequence).toBe(4);
      appendLine(vault, readHead(vault), line);
      expect(readFileSync(chain, 'utf8').startsWith(whole)).toBe(true);
      expect(readChain(vault).map(({ line: { sequence, extra } }) => [sequence, extra.length])).toEqual([
        [1, 1],
        [2, length],
        [3, 1],
        [4, length],
        [5, 1],
      ]);
      expect(findLast(vault, ({ extra }) => extra.startsWith('p'))?.sequence).toBe(2);
    } finally {
      rmSync(vault, { recursive: true });
    }
  },
);
