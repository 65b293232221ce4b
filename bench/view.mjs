// How long `cora serve` takes for each of the questions that its page asks, over a vault as bench/view-vault.mjs makes it: the first time,
// with no index (CORA_BENCH_COLD=1 deletes the vault's caches), and the median of nine afterwards. `node bench/view.mjs DIRECTORY`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { nameOf } from './many-saves.mjs';

const ROUNDS = 9;
const root = resolve(process.argv[2] ?? '');
const vault = join(root, 'vault');
const env = { PATH: process.env.PATH, HOME: root, CORA_VAULT: vault, CORA_LOG: join(root, 'cora.log') };
if (process.env.CORA_BENCH_COLD === '1') rmSync(join(vault, '.cache'), { recursive: true, force: true });
const child = spawn(join(import.meta.dirname, '..', 'bin/cora'), ['serve', '--port', '0', '--json'], {
  cwd: join(root, 'project'),
  env,
  stdio: ['ignore', 'pipe', 'inherit'],
});
const [line] = await once(createInterface({ input: child.stdout }), 'line');
const { url, token_file: file } = JSON.parse(line).result;
const headers = { Authorization: `Bearer ${readFileSync(file, 'utf8').trim()}` };
const begun = performance.now();
const since = (start) => Math.round(performance.now() - start);
const show = (what, ...cells) => console.log(what.padEnd(64), ...cells.map((cell) => String(cell).padStart(9)));

async function ask(path) {
  const start = performance.now();
  const answer = await fetch(`${url}api/v1${path}`, { headers });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return { ms: since(start), bytes: text.length, text };
}

async function untilReady(path) {
  for (;;) {
    const { ready, indexing } = JSON.parse((await ask(path)).text);
    if (ready && indexing === null) return since(begun);
    await new Promise((next) => setTimeout(next, 200));
  }
}

try {
  show('', 'ms');
  show('first page of snapshots', (await ask('/snapshots')).ms);
  show('history of all paths read', await untilReady('/find?limit=1'));
  show('what each save costs counted', await untilReady('/storage?limit=1'));
  const { total } = JSON.parse((await ask('/timeline')).text);
  const middle = Math.floor(total / 2);
  const ids = JSON.parse((await ask(`/snapshots?limit=50&offset=${middle}`)).text).snapshots.map((one) => one.snapshot_id);
  const id = ids[0];
  const path = nameOf(700);
  const questions = [
    '/snapshots',
    `/snapshots?limit=200&offset=${middle}`,
    '/snapshots?q=milestone',
    '/snapshots?q=yesterday',
    '/snapshots?mark=unsealed',
    `/snapshots/${id}`,
    '/timeline',
    `/snapshots/${id}/tree?path=src`,
    `/snapshots/${id}/tree?path=src&sort=mtime&order=desc`,
    `/snapshots/${id}/search?q=component-0007`,
    `/snapshots/${id}/search?q=*07*.ts`,
    `/snapshots/${id}/content?path=${path}`,
    `/snapshots/${id}/text?path=${path}`,
    `/snapshots/${id}/changes`,
    `/diff?a=${id}&b=latest`,
    `/versions?path=${path}`,
    '/versions?path=src/module-0007',
    '/versions?path=src',
    `/versions/diff?path=${path}&a=${ids.at(-1)}&b=${id}`,
    '/find?q=made-4',
    '/find?gone=true&sort=gone',
    '/lost',
    '/ledger',
    '/runs',
    '/verify-state',
    '/storage',
    '/storage?sort=unique',
    '/trends',
  ];
  show('', 'first ms', 'median ms', 'slowest', 'bytes');
  for (const question of questions) {
    const first = await ask(question);
    const times = [];
    for (let round = 0; round < ROUNDS; round++) times.push((await ask(question)).ms);
    times.sort((a, b) => a - b);
    show(question.replaceAll(id, 'ID').slice(0, 64), first.ms, times[ROUNDS >> 1], times.at(-1), first.bytes);
  }
  const memory = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
  console.log(`memory ${Math.round(Number(memory) / 1024)} MB, load of the machine ${loadavg()[0].toFixed(1)}`);
} finally {
  child.kill('SIGTERM');
}
