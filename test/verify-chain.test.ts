// `cora verify --chain`: what was altered, removed or put in, among snapshots and lines of the ledger, is named and ends with 21.
// Each case tampers with a copy of one vault, as somebody who may write there would.

import { createHash } from 'node:crypto';
import { appendFileSync, chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ChainLine, formatLine, hashLine, parseLine } from '../src/vault/chain.ts';
import { brokenLinks } from '../src/vault/chain-links.ts';
import { execute, Sandbox } from './support/sandbox.ts';

type Damage = { readonly path: string; readonly file: string; readonly reason: string };
type Chain = { readonly ok: boolean; readonly lines: number; readonly snapshots: number; readonly damaged: readonly Damage[] };

const sandbox = new Sandbox();
const ids: string[] = [];
let backup: { readonly id: string; readonly path: string };
let copies = 0;

beforeAll(async () => {
  for (const text of ['one', 'two', 'three']) {
    writeFileSync(join(sandbox.project, 'a.txt'), text);
    ids.push((await sandbox.snapshot(['save'])).id);
  }
  writeFileSync(join(sandbox.project, 'b.txt'), 'four');
  backup = await sandbox.snapshot(['backup', 'now']);
  await sandbox.cora(['save']);
}, 60_000);

afterAll(() => sandbox.remove());

const directoryOf = (id: string) => `progress/${id.slice(0, 4)}/${id.slice(4, 6)}/${id.slice(6, 8)}/${id.slice(9)}`;
const linesOf = (vault: string) => readFileSync(join(vault, 'ledger/chain.log'), 'latin1').split('\n').slice(0, -1);
const writeLines = (vault: string, lines: readonly string[]) => writeFileSync(join(vault, 'ledger/chain.log'), `${lines.join('\n')}\n`, 'latin1');

/** A copy of the vault without its flags. */
function copyOfVault(): string {
  const copy = join(sandbox.root, `copy-${++copies}`);
  cpSync(sandbox.vault, copy, { recursive: true });
  return copy;
}

async function verify(vault: string, ...args: readonly string[]): Promise<{ readonly code: number | null; readonly chain: Chain }> {
  const { code, result, error } = await sandbox.json(['verify', ...(args.length === 0 ? ['--chain'] : args)], { env: { CORA_VAULT: vault } });
  const { details } = (error ?? {}) as { readonly details?: Record<string, unknown> };
  return { code, chain: (result ?? details)?.['chain'] as Chain };
}

async function damageAfter(tamper: (vault: string) => void): Promise<readonly Damage[]> {
  const vault = copyOfVault();
  tamper(vault);
  const { code, chain } = await verify(vault);
  expect(code).toBe(21);
  return chain.damaged;
}

test('a vault that nobody touched is whole, and says how much was looked at', async () => {
  const { code, chain } = await verify(sandbox.vault);
  expect({ code, chain }).toMatchObject({ code: 0, chain: { ok: true, snapshots: 5, damaged: [], lines: linesOf(sandbox.vault).length } });
  const { stdout } = await sandbox.cora(['verify', '--chain']);
  expect(stdout).toMatch(/^OK ledger: \d+ lines, 5 snapshots, /);
});

test('an altered snapshot is named, also where its sums were altered with it', async () => {
  const report = `${directoryOf(ids[1]!)}/REPORT.json`;
  const alter = (vault: string) => writeFileSync(join(vault, report), readFileSync(join(vault, report), 'utf8').replace('"manual"', '"another"'));
  expect(await damageAfter(alter)).toEqual([{ path: ids[1], file: report, reason: expect.stringContaining('SHA256SUMS.txt has another hash') }]);
  const damaged = await damageAfter((vault) => {
    const directory = join(vault, directoryOf(ids[1]!));
    const before = createHash('sha256')
      .update(readFileSync(join(vault, report)))
      .digest('hex');
    alter(vault);
    const after = createHash('sha256')
      .update(readFileSync(join(vault, report)))
      .digest('hex');
    const sums = join(directory, 'SHA256SUMS.txt');
    writeFileSync(sums, readFileSync(sums, 'utf8').replace(before, after));
  });
  expect(damaged).toEqual([{ path: ids[1], file: `${directoryOf(ids[1]!)}/SHA256SUMS.txt`, reason: expect.stringContaining('the ledger recorded') }]);
});

test('a removed file of a snapshot, and a removed snapshot, are named', async () => {
  const file = readdirSync(backup.path).find((name) => name.endsWith('.tar.gz')) ?? '';
  expect(await damageAfter((vault) => rmSync(join(vault, backup.id, file)))).toEqual([
    { path: backup.id, file: `${backup.id}/${file}`, reason: 'it was removed' },
  ]);
  expect(await damageAfter((vault) => rmSync(join(vault, backup.id), { recursive: true }))).toEqual([
    { path: backup.id, file: backup.id, reason: expect.stringContaining('this backup was removed') },
  ]);
  expect(await damageAfter((vault) => rmSync(join(vault, directoryOf(ids[0]!)), { recursive: true }))).toMatchObject([{ path: ids[0] }]);
});

test('a snapshot that clean-up took is no damage: the ledger has its tombstone', async () => {
  const vault = copyOfVault();
  rmSync(join(vault, directoryOf(ids[0]!)), { recursive: true });
  const lines = linesOf(vault);
  const last = parseLine(lines.at(-1)!);
  const tombstone: ChainLine = {
    ...last,
    sequence: last.sequence + 1,
    kind: 'prune',
    id: ids[0]!,
    previous: hashLine(lines.at(-1)!),
    sums: '-',
    extra: 'save',
  };
  writeLines(vault, [...lines, formatLine(tombstone)]);
  expect(await verify(vault)).toMatchObject({ code: 0, chain: { ok: true, snapshots: 4 } });
});

test('a snapshot that was put in is named; one that a crash kept out of the ledger is taken in', async () => {
  const copied = '20200101-000000-nogit';
  const put = (vault: string) => cpSync(join(vault, backup.id), join(vault, copied), { recursive: true });
  expect(await damageAfter(put)).toEqual([{ path: copied, file: copied, reason: expect.stringContaining('the ledger has no line') }]);

  // A crash between the rename and the line: the last lines are gone, the intent is there.
  const vault = copyOfVault();
  const lines = linesOf(vault);
  const cut = lines.findIndex((line) => line.split(' ')[1] === 'backup');
  writeLines(vault, lines.slice(0, cut));
  rmSync(join(vault, 'ledger/cora.db'));
  mkdirSync(join(vault, '.stage'), { recursive: true });
  writeFileSync(join(vault, '.stage/intent'), `backup ${backup.id}\n`);
  expect(await verify(vault)).toMatchObject({ code: 0, chain: { ok: true, snapshots: 5, lines: cut + 1 } });

  // The same, and the disk has not all of it: it is not taken in, and named.
  writeLines(vault, lines.slice(0, cut));
  rmSync(join(vault, 'ledger/cora.db'), { force: true });
  writeFileSync(join(vault, '.stage/intent'), `backup ${backup.id}\n`);
  const listing = join(vault, backup.id, 'FILES.tsv.gz');
  const content = readFileSync(listing);
  chmodSync(listing, 0o600);
  writeFileSync(listing, content.with(content.length - 9, (content.at(-9) ?? 0) ^ 1));
  const torn = await verify(vault);
  expect([torn.code, linesOf(vault).filter((line) => line.split(' ')[1] === 'backup')]).toEqual([21, []]);
});

test('an altered, a removed and an inserted line are named', async () => {
  const at = linesOf(sandbox.vault).findIndex((line) => line.includes(` save ${ids[1]} `));
  const name = `ledger line ${at + 1} (save ${ids[1]})`;
  const altered = await damageAfter((vault) =>
    writeLines(
      vault,
      linesOf(vault).map((line, index) =>
        index === at ? line.replace(/T(\d)(\d)/, (_, tens: string, ones: string) => `T${tens}${(Number(ones) + 1) % 4}`) : line,
      ),
    ),
  );
  expect(altered).toContainEqual({ path: name, file: 'ledger/chain.log', reason: expect.stringContaining('it was altered') });

  const removed = await damageAfter((vault) =>
    writeLines(
      vault,
      linesOf(vault).filter((_, index) => index !== at),
    ),
  );
  expect(removed).toContainEqual({ path: `ledger line ${at + 1}`, file: 'ledger/chain.log', reason: 'it was taken out of the ledger' });
  expect(removed).toContainEqual(expect.objectContaining({ path: ids[1], reason: expect.stringContaining('the ledger has no line') }));

  const inserted = await damageAfter((vault) => {
    const lines = linesOf(vault);
    const line = parseLine(lines[at]!);
    const forged = { ...line, sequence: line.sequence + 1, kind: 'accept', previous: hashLine(lines[at]!), sums: '-', extra: 'a.txt' };
    writeLines(vault, [...lines.slice(0, at + 1), formatLine(forged), ...lines.slice(at + 1)]);
  });
  expect(inserted).toContainEqual({
    path: `ledger line ${at + 2} (accept ${ids[1]})`,
    file: 'ledger/chain.log',
    reason: expect.stringContaining('it was put in'),
  });
});

test('a ledger that was written anew from a removed line on shows by the reports of the snapshots after it', async () => {
  const damaged = await damageAfter((vault) => {
    const lines = linesOf(vault).map(parseLine);
    const kept = lines.filter(({ id }) => id !== ids[0]);
    rmSync(join(vault, directoryOf(ids[0]!)), { recursive: true });
    const anew: string[] = [];
    for (const line of kept) {
      const before = anew.at(-1);
      anew.push(formatLine({ ...line, sequence: anew.length + 1, previous: before === undefined ? '0'.repeat(64) : hashLine(before) }));
    }
    writeLines(vault, anew);
    // The table would know it, too; here the reports alone tell.
    rmSync(join(vault, 'ledger/cora.db'));
  });
  expect(damaged.map(({ path }) => path)).toContain(ids[1]);
  expect(damaged.every(({ reason }) => reason.includes('another place in the ledger'))).toBe(true);
});

test('lost lines at the end, and a line that is none, are named; --all says it too', async () => {
  expect(await damageAfter((vault) => writeLines(vault, linesOf(vault).slice(0, 2)))).toContainEqual(
    expect.objectContaining({ path: backup.id, reason: expect.stringContaining('its line was taken out') }),
  );
  const garbled = copyOfVault();
  writeLines(
    garbled,
    linesOf(garbled).map((line, index) => (index === 1 ? 'x' : line)),
  );
  for (const args of [['--chain'], ['--all']]) {
    const { code, chain } = await verify(garbled, ...args);
    expect(code).toBe(21);
    expect(chain.damaged).toContainEqual(expect.objectContaining({ path: 'ledger line 2', reason: expect.stringContaining('it was altered') }));
  }
  expect(await sandbox.cora(['list', '--json'], { env: { CORA_VAULT: garbled } })).toMatchObject({ code: 0 });
  const torn = copyOfVault();
  appendFileSync(join(torn, 'ledger/chain.log'), '9 save 2026');
  expect(await verify(torn)).toMatchObject({ code: 0 });
  const all = await verify(sandbox.vault, '--all');
  expect(all).toMatchObject({ code: 0, chain: { ok: true } });
});

test('a sealed backup that was unsealed, altered and sealed again is named', async () => {
  await execute('chattr', ['-R', '-i', backup.path]);
  const [from, to] = [join(backup.path, 'MANIFEST.txt'), join(backup.path, 'moved')];
  renameSync(from, to);
  try {
    const { stdout, code } = await sandbox.cora(['verify', '--chain']);
    expect({ stdout, code }).toEqual({ code: 21, stdout: expect.stringContaining(`${backup.id}: it was removed (${backup.id}/MANIFEST.txt)`) });
  } finally {
    renameSync(to, from);
  }
});

test('the newest snapshot, removed with its lines, is named by who read them before, until a person accepts it', async () => {
  const vault = copyOfVault();
  const lines = linesOf(vault);
  const cut = lines.findIndex((line) => line.split(' ')[1] === 'backup');
  rmSync(join(vault, backup.id), { recursive: true });
  writeLines(vault, lines.slice(0, cut));
  const gone = { path: backup.id, file: backup.id, reason: expect.stringContaining(`line ${cut + 1} of the ledger, this backup, is gone`) };
  for (let look = 0; look < 2; look++) expect(await verify(vault)).toMatchObject({ code: 21, chain: { damaged: [gone] } });

  // Put back it is well again.
  writeLines(vault, lines);
  cpSync(join(sandbox.vault, backup.id), join(vault, backup.id), { recursive: true });
  expect((await verify(vault)).code).toBe(0);

  // A run that comes between does not hide it, nor does the next one.
  rmSync(join(vault, backup.id), { recursive: true });
  writeLines(vault, lines.slice(0, cut));
  const env = { CORA_VAULT: vault };
  for (const text of ['six', 'seven']) {
    writeFileSync(join(sandbox.project, 'c.txt'), text);
    expect((await sandbox.cora(['save'], { env })).code).toBe(0);
    expect(await verify(vault)).toMatchObject({ code: 21, chain: { damaged: expect.arrayContaining([gone]) } });
  }
  expect((await sandbox.cora(['ledger', 'rebuild'], { env })).stdout).toContain('Accepted');
  expect((await verify(vault)).code).toBe(0);

  // An altered last line, which nothing after it gives away.
  const altered = copyOfVault();
  await verify(altered);
  const last = parseLine(linesOf(altered).at(-1)!);
  writeLines(altered, linesOf(altered).with(-1, formatLine({ ...last, kind: 'accept' })));
  expect(await verify(altered)).toMatchObject({ code: 21, chain: { damaged: [{ path: `ledger line ${last.sequence}` }] } });
});

test('each single change of a long ledger is found, and nothing else is accused of it', () => {
  const texts: string[] = [];
  for (let sequence = 1; sequence <= 40; sequence++) {
    const before = texts.at(-1);
    texts.push(
      formatLine({
        sequence,
        kind: 'unchanged',
        id: '20261121-031500-nogit',
        time: new Date(sequence * 1000).toISOString(),
        previous: before === undefined ? '0'.repeat(64) : hashLine(before),
        sums: '-',
        extra: '-',
      }),
    );
  }
  const found = (lines: readonly string[]) => brokenLinks(lines.map((text) => ({ line: parseLine(text), hash: hashLine(text) })));
  expect(found(texts)).toEqual([]);
  for (let at = 0; at < texts.length; at++) {
    const altered = texts.with(at, texts[at]!.replace('unchanged', 'accept'));
    // The last line has nothing after it that knows its hash: the snapshots' reports and off-site copies do.
    if (at < texts.length - 1) expect(found(altered).map(({ line }) => line)).toEqual([expect.stringContaining(`ledger line ${at + 1} (accept`)]);
    if (at < texts.length - 1) expect(found(texts.toSpliced(at, 1)).length).toBe(1);
    expect(found(texts.toSpliced(at, 0, texts[at]!)).length).toBe(1);
  }
});
