// How long looking back takes: a vault of 1,000 saves of 50,000 files, 20 of them changed, one made and one deleted from one to the next,
// written by the project's own modules in one process; the first and the last save are real ones. Then each command as a person types it:
// the first time (no .cache/history.tsv), then the median of five. Beside it git with the same history, and restic with 20 snapshots of
// it, where they are installed. `node bench/travel.mjs [SAVES [FILES]]`; nothing is kept (CORA_BENCH_KEEP=1 keeps it).

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytes } from '../src/base/bytes.ts';
import { DELTA_HEADER, FILES_HEADER, formatRemoval, listingBytes, rowKey, sortedRows } from '../src/format/file-list.ts';
import { entryBytes, TAR_END, writeObjectHeader } from '../src/format/object-entry.ts';
import { compressFrame } from '../src/format/zstd-frame.ts';
import { writeNewFile } from '../src/os/files.ts';
import { listSnapshots, readReport } from '../src/vault/catalog.ts';
import { eachRow } from '../src/vault/listing.ts';
import { openLocated } from '../src/vault/locate.ts';
import { commitSnapshot } from '../src/vault/snapshot.ts';
import { openStage } from '../src/vault/vault.ts';

const saves = Number(process.argv[2] ?? 1000);
const files = Number(process.argv[3] ?? 50_000);
const CHANGED = 20;
const RESTIC = 'restic';
const RESTIC_SNAPSHOTS = 20;
const root = mkdtempSync(join(tmpdir(), 'cora-travel-'));
const project = join(root, 'project');
const vault = join(root, 'vault');
const env = { PATH: process.env.PATH, HOME: root, CORA_VAULT: vault, CORA_LOG: '', GIT_CONFIG_NOSYSTEM: '1' };
const repository = join(import.meta.dirname, '..');
const CORA = join(repository, 'bin/cora');
const sha = (content) => createHash('sha256').update(content).digest('hex');
const nameOf = (i) => `src/module-${String(Math.floor(i / 100)).padStart(4, '0')}/component-${String(i).padStart(6, '0')}.ts`;
const contentOf = (i, save) => `// component ${i}, version ${save}\nexport const value${i} = ${(i * 7919 + save * 104_729) % 1_000_003};\n`;
const madeIn = (save) => `src/made-${save}.txt`;

/** What each save changes: path to content, undefined where it is deleted. */
function changesOf(save) {
  const changes = new Map();
  for (let n = 0; n < CHANGED; n++) {
    const i = (save * 7919 + n * 104_729) % files;
    changes.set(nameOf(i), contentOf(i, save));
  }
  changes.set(madeIn(save), `made in ${save}\n`);
  if (save > 1) changes.set(madeIn(save - 1), undefined);
  return changes;
}

function rowOf(path, content, time) {
  return `f\t0644\t${process.getuid()}\t${process.getgid()}\t${time}.000000000\t${Buffer.byteLength(content)}\t${sha(content)}\t${path}\t-`;
}

function packOf(contents) {
  const entries = contents.map((content) => {
    const data = Buffer.from(content);
    const entry = Buffer.alloc(entryBytes(data.length));
    writeObjectHeader(entry, 0, sha(data), data.length);
    data.copy(entry, 512);
    return entry;
  });
  return Buffer.concat([compressFrame(Buffer.concat(entries)), compressFrame(TAR_END)]);
}

function staged(stage, name, content) {
  writeNewFile(`${stage}/${name}`, content);
  return { path: bytes(name), size: content.length, sha256: sha(content) };
}

/** The saves between the first and the last, each as `cora save` writes it. */
function writeSaves() {
  const open = openLocated({ path: vault, expectedId: undefined });
  const [first] = listSnapshots(open);
  const report = readReport(open, first);
  const start = Date.parse(report.backup_start);
  let keyframe = first.id;
  let base = new Map([...eachRow(open, first)].map((row) => [rowKey(row), row]));
  let delta = new Map();
  for (let save = 1; save < saves - 1; save++) {
    // In the past, or none of them would be good; their order is the ledger's.
    const time = start - (saves - save) * 60_000;
    const changes = changesOf(save);
    for (const [path, content] of changes)
      delta.set(path, content === undefined ? formatRemoval(path) : rowOf(path, content, Math.floor(time / 1000)));
    const { path: stage } = openStage(open);
    const pack = staged(stage, 'objects.tar.zst', packOf([...changes.values()].filter((content) => content !== undefined)));
    const isKeyframe = delta.size > base.size / 5;
    if (isKeyframe) {
      for (const [key, row] of delta) if (row.startsWith('-')) base.delete(key);
      for (const [key, row] of delta) if (!row.startsWith('-')) base.set(key, row);
      base = new Map([...base].sort((a, b) => (a[0] < b[0] ? -1 : 1)));
      delta = new Map();
    }
    const listing = isKeyframe
      ? staged(stage, 'FILES.tsv.zst', compressFrame(listingBytes(FILES_HEADER, base.values())))
      : staged(stage, 'DELTA.tsv.zst', compressFrame(listingBytes(`${DELTA_HEADER} ${keyframe}`, sortedRows(delta))));
    const { id } = commitSnapshot(open, {
      kind: 'save',
      stage,
      files: [pack, listing],
      time,
      sha: undefined,
      report: (identity) => ({ ...report, ...identity, backup_start: new Date(time).toISOString(), keyframe: isKeyframe ? null : keyframe }),
    });
    if (isKeyframe) keyframe = id;
  }
}

function timed(program, args, options = {}) {
  const begun = process.hrtime.bigint();
  const run = spawnSync(program, args, { cwd: project, env: { ...env, ...options.env }, maxBuffer: 1 << 30 });
  const milliseconds = Number(process.hrtime.bigint() - begun) / 1e6;
  if (run.status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${run.status}: ${run.stderr}`);
  return milliseconds;
}

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const repeated = (program, args, options) => median(Array.from({ length: 5 }, () => timed(program, args, options)));
const show = (what, milliseconds, note = '') => console.log(`${what.padEnd(44)} ${milliseconds.toFixed(0).padStart(7)} ms  ${note}`);
const isInstalled = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

function measureCora() {
  const middle = Math.floor(saves / 2);
  const ids = JSON.parse(execFileSync(CORA, ['list', '--json'], { cwd: project, env, maxBuffer: 1 << 30 })).result.snapshots.map(
    (one) => one.snapshot_id,
  );
  const changed = nameOf((middle * 7919) % files);
  const history = join(vault, '.cache/history.tsv');
  const commands = [
    ['log', changed],
    ['log', madeIn(middle)],
    ['log', 'src/module-0007'],
    ['find', '*.txt'],
    ['find', 'src/**/component-0000*.ts'],
    ['diff', ids[middle], ids[middle + 1], '--stat'],
    ['diff', ids[0], ids.at(-1), '--stat'],
    ['diff'],
    ['diff', ids[middle], '--stat'],
    ['cat', ids[middle], changed],
    ['why', changed],
    ['why', madeIn(middle)],
    ['restore', '--dry-run', '--', madeIn(middle)],
    ['list', '-n', '5', madeIn(middle)],
  ];
  show('node -e 0', repeated(process.execPath, ['-e', '0']));
  rmSync(history, { force: true });
  show('cora log, no history yet', timed(CORA, ['log', changed]), `${(statSync(history).size / 1e6).toFixed(1)} MB of history`);
  for (const args of commands) show(`cora ${args.join(' ')}`.slice(0, 44), repeated(CORA, args));
}

function measureGit() {
  if (!isInstalled('git')) return console.log('git is not installed: skipped');
  const git = (...args) => ['-C', join(root, 'git'), ...args];
  execFileSync('git', ['init', '-q', join(root, 'git')], { env });
  let stream = '';
  const blob = (path, content) => `M 100644 inline ${path}\ndata ${Buffer.byteLength(content)}\n${content}\n`;
  for (let save = 0; save < saves; save++) {
    stream += `commit refs/heads/main\ncommitter a <a@b> ${1_700_000_000 + save * 60} +0000\ndata 1\ns\n`;
    if (save === 0) for (let i = 0; i < files; i++) stream += blob(nameOf(i), contentOf(i, 0));
    else for (const [path, content] of changesOf(save)) stream += content === undefined ? `D ${path}\n` : blob(path, content);
  }
  execFileSync('git', git('fast-import', '--quiet'), { env, input: stream, maxBuffer: 1 << 30 });
  const middle = Math.floor(saves / 2);
  const changed = nameOf((middle * 7919) % files);
  show('git log -- path', repeated('git', git('log', '--format=%h', 'main', '--', changed)));
  show(
    'git log --diff-filter=D -- *.txt (find gone)',
    repeated('git', git('log', '--format=%h', '--diff-filter=D', '--name-only', 'main', '--', '*.txt')),
  );
  show('git diff --stat first last', repeated('git', git('diff', '--shortstat', `main~${saves - 1}`, 'main')));
}

function measureRestic() {
  if (!isInstalled('restic')) return console.log('restic is not installed: skipped');
  const options = { env: { RESTIC_REPOSITORY: join(root, 'restic'), RESTIC_PASSWORD: 'x', RESTIC_CACHE_DIR: join(root, 'restic-cache') } };
  timed('restic', ['init'], options);
  for (let n = 0; n < RESTIC_SNAPSHOTS; n++) {
    writeFileSync(join(project, 'src/made-restic.txt'), String(n));
    timed('restic', ['backup', '-q', '.'], options);
  }
  rmSync(join(project, 'src/made-restic.txt'));
  const list = JSON.parse(execFileSync(RESTIC, ['snapshots', '--json'], { cwd: project, env: { ...env, ...options.env } }));
  show(`restic find '*.txt' (${RESTIC_SNAPSHOTS} snapshots, encrypted)`, repeated('restic', ['find', '*.txt'], options));
  show('restic diff first last', repeated('restic', ['diff', list[0].id, list.at(-1).id], options));
}

try {
  mkdirSync(project, { recursive: true });
  for (let i = 0; i < files; i++) {
    if (i % 100 === 0) mkdirSync(join(project, nameOf(i), '..'), { recursive: true });
    writeFileSync(join(project, nameOf(i)), contentOf(i, 0));
  }
  execFileSync(CORA, ['save'], { cwd: project, env });
  const begun = Date.now();
  writeSaves();
  for (let save = 1; save < saves - 1; save++) {
    for (const [path, content] of changesOf(save)) {
      if (content === undefined) rmSync(join(project, path));
      else writeFileSync(join(project, path), content);
    }
  }
  rmSync(join(vault, '.cache'), { recursive: true, force: true });
  execFileSync(CORA, ['save', '-m', 'the last one'], { cwd: project, env });
  execFileSync(CORA, ['save', '-m', 'once more, with trusted times'], { cwd: project, env });
  console.log(`${saves} saves of ${files} files, made in ${((Date.now() - begun) / 1000).toFixed(0)} s`);
  const load = () => console.log(`load of the machine: ${loadavg()[0].toFixed(1)}`);
  load();
  measureCora();
  load();
  measureGit();
  measureRestic();
  load();
} finally {
  if (process.env.CORA_BENCH_KEEP === '1') console.log(root);
  else {
    spawnSync('chattr', ['-R', '-f', '-i', '-a', root]);
    rmSync(root, { recursive: true, force: true });
  }
}
