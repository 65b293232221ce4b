// The ledger against the heads that copies off-site know: what was cut or rewritten here, so that nothing here shows it, is named.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareHeads } from '../src/actions/offsite-chain.ts';
import type { RemoteCopy } from '../src/actions/offsite-remote.ts';
import { findProgram } from '../src/os/run.ts';
import { formatLine, hashLine, parseLine, readHead, readLines } from '../src/vault/chain.ts';
import { openVault } from '../src/vault/vault.ts';
import { Sandbox } from './support/sandbox.ts';

const why = findProgram('rclone') === undefined ? 'rclone is missing' : undefined;
const box = new Sandbox();
const off = join(box.root, 'off');
const chain = join(box.vault, 'ledger/chain.log');
type Heads = {
  readonly remote: string;
  readonly compared: number;
  readonly newest: number;
  readonly damaged: readonly { readonly path: string; readonly reason: string }[];
};

beforeAll(async () => {
  mkdirSync(off);
  writeFileSync(join(box.project, 'a'), 'a');
  writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = "${off}"\n`);
  await box.snapshot(['backup', 'now', '--no-ship']);
});
afterAll(() => box.remove());

async function verify() {
  const run = await box.json(['verify', '--chain', '--offsite']);
  if (run.result === undefined && !('chain' in (run.error as unknown as { details: object }).details)) throw new Error(JSON.stringify(run));
  const result = (run.result ?? (run.error as unknown as { details: unknown }).details) as { chain: { ok: boolean; offsite: Heads[] } };
  return { ...run, chain: result.chain, heads: result.chain.offsite[0]! };
}

/** Lines as whoever rewrites a ledger would chain them again. */
function rechain(lines: readonly string[]): string {
  let previous = '0'.repeat(64);
  return lines
    .map((text, at) => {
      const line = formatLine({ ...parseLine(text), sequence: at + 1, previous });
      previous = hashLine(line);
      return `${line}\n`;
    })
    .join('');
}

test.skipIf(why !== undefined)(`agree; cut; rewritten; asked of nobody${why === undefined ? '' : ` (skipped: ${why})`}`, async () => {
  expect((await box.cora(['ship'])).code).toBe(0);
  const whole = await verify();
  expect(whole).toMatchObject({ code: 0, chain: { ok: true }, heads: { remote: off, compared: 1, damaged: [] } });
  const text = readFileSync(chain, 'utf8');
  const lines = text.trimEnd().split('\n');
  const table = join(box.vault, 'ledger/cora.db');

  // The last lines are gone, and with them all that beside the ledger could tell of them.
  const known = whole.heads.newest;
  writeFileSync(chain, `${lines.slice(0, known - 1).join('\n')}\n`);
  rmSync(table, { force: true });
  const cut = await verify();
  expect(cut).toMatchObject({ code: 21, error: { code: 'damaged' } });
  expect(cut.heads.damaged).toMatchObject([{ path: `ledger line ${known}`, reason: expect.stringContaining("taken out of the ledger's end") }]);

  // Another time in the first line, and everything chained again.
  writeFileSync(
    chain,
    rechain(
      lines.map((line, at) =>
        at === 0 ? line.replace(/T(\d)(\d):/, (_, tens: string, ones: string) => `T${tens}${(Number(ones) + 1) % 4}:`) : line,
      ),
    ),
  );
  rmSync(table, { force: true });
  const rewritten = await verify();
  expect(rewritten.code).toBe(21);
  expect(rewritten.heads.damaged[0]?.reason).toContain('rewritten between the beginning and line');

  writeFileSync(chain, text);
  rmSync(table, { force: true });
  rmSync(join(box.vault, 'ledger/missing-lines.json'), { force: true });
  renameSync(off, `${off}.away`);
  expect((await verify()).code).toBe(12);
  renameSync(`${off}.away`, off);
  expect((await verify()).code).toBe(0);
  expect((await box.cora(['verify', '--offsite'])).code).toBe(2);

  // ship meets the copies again where its record is gone, and says so after it has sent what there is.
  writeFileSync(
    chain,
    rechain(
      lines.map((line, at) =>
        at === 0 ? line.replace(/T(\d)(\d):/, (_, tens: string, ones: string) => `T${tens}${(Number(ones) + 1) % 4}:`) : line,
      ),
    ),
  );
  rmSync(table, { force: true });
  rmSync(join(box.vault, 'ledger/offsite.json'));
  expect(await box.json(['ship'])).toMatchObject({ code: 21, error: { code: 'damaged', message: expect.stringContaining('rewritten') } });
  writeFileSync(chain, text);
});

test('a ledger that was rebuilt is compared from the line on that it goes on after', () => {
  const vault = openVault(box.vault);
  const text = readFileSync(chain, 'utf8');
  const lost = readHead(vault.root);
  const copy = (sequence: number, hash: string) =>
    ({
      complete: { vault_id: vault.info.vault_id, snapshot_id: `x${sequence}`, shipped_at: 'then', chain: { sequence, hash } },
    }) as unknown as RemoteCopy;
  const first = { kind: 'recover', id: 'x', time: 't', sums: '-', extra: '-', sequence: 41, previous: 'b'.repeat(64) };
  writeFileSync(chain, `${formatLine(first)}\n`);
  const [line] = readLines(vault.root);
  const compare = (...copies: RemoteCopy[]) => compareHeads(vault, 'r', copies);
  expect(compare(copy(7, 'c'.repeat(64)), copy(40, 'b'.repeat(64)), copy(41, line!.hash))).toMatchObject({
    compared: 2,
    older: 1,
    newest: 41,
    damaged: [],
  });
  expect(compare(copy(40, 'c'.repeat(64))).damaged).toHaveLength(1);
  expect(compare(copy(42, 'c'.repeat(64))).damaged).toMatchObject([{ path: 'ledger line 42' }]);
  writeFileSync(chain, text);
  expect(readHead(vault.root).hash).toBe(lost.hash);
});
