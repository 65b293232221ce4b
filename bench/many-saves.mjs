// Vaults of thousands of saves in minutes: the project's own modules write them in one process, each as `cora save` does, after a
// first save that was a real one. What a save changes is the same whenever it is asked for, so that a project can be brought
// to where the last of them left it.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bytes } from '../src/base/bytes.ts';
import { DELTA_HEADER, FILES_HEADER, formatRemoval, listingBytes, rowKey, sortedRows } from '../src/format/file-list.ts';
import { entryBytes, TAR_END, writeObjectHeader } from '../src/format/object-entry.ts';
import { compressFrame } from '../src/format/zstd-frame.ts';
import { writeNewFile } from '../src/os/files.ts';
import { listSnapshots, readReport } from '../src/vault/catalog.ts';
import { appendLine, readHead } from '../src/vault/chain.ts';
import { eachRow } from '../src/vault/listing.ts';
import { openLocated } from '../src/vault/locate.ts';
import { commitSnapshot } from '../src/vault/snapshot.ts';
import { openStage } from '../src/vault/vault.ts';

const sha = (content) => createHash('sha256').update(content).digest('hex');
export const nameOf = (i) => `src/module-${String(Math.floor(i / 100)).padStart(4, '0')}/component-${String(i).padStart(6, '0')}.ts`;
export const contentOf = (i, save) => `// component ${i}, version ${save}\nexport const value${i} = ${(i * 7919 + save * 104_729) % 1_000_003};\n`;
export const madeIn = (save) => `src/made-${save}.txt`;

/** What each save changes: path to content, undefined where it is deleted. @param active so many files are worked on, the others never change */
export function changesOf(save, active, changed) {
  const changes = new Map();
  for (let n = 0; n < changed; n++) {
    const i = (save * 7919 + n * 104_729) % active;
    changes.set(nameOf(i), contentOf(i, save));
  }
  changes.set(madeIn(save), `made in ${save}\n`);
  if (save > 1) changes.set(madeIn(save - 1), undefined);
  return changes;
}

/** The files of the first save. */
export function writeProject(project, files) {
  for (let i = 0; i < files; i++) {
    if (i % 100 === 0) mkdirSync(join(project, nameOf(i), '..'), { recursive: true });
    writeFileSync(join(project, nameOf(i)), contentOf(i, 0));
  }
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

const sorted = (rows) => new Map([...rows].sort((a, b) => (a[0] < b[0] ? -1 : 1)));

function laidOver(base, delta) {
  const rows = new Map(base);
  for (const [key, row] of delta) if (row.startsWith('-')) rows.delete(key);
  for (const [key, row] of delta) if (!row.startsWith('-')) rows.set(key, row);
  return sorted(rows);
}

/**
 * Saves number 1 to `saves` - 2 (the first and the last are real ones), each `minutes` after the one before.
 * @param options `backupEvery`: so often one has a backup too, whose archive is empty (its listing is not); `verifyEvery`: a line `verify` in the ledger
 */
export function writeSaves(vault, saves, { active, changed, minutes = 1, backupEvery = 0, verifyEvery = 0 }) {
  const open = openLocated({ path: vault, expectedId: undefined });
  const [first] = listSnapshots(open);
  const report = readReport(open, first);
  const start = Date.parse(report.backup_start);
  let keyframe = first.id;
  let base = new Map([...eachRow(open, first)].map((row) => [rowKey(row), row]));
  let delta = new Map();
  for (let save = 1; save < saves - 1; save++) {
    // In the past, or none of them would be good; their order is the ledger's.
    const time = start - (saves - save) * minutes * 60_000;
    const changes = changesOf(save, active, changed);
    for (const [path, content] of changes)
      delta.set(path, content === undefined ? formatRemoval(path) : rowOf(path, content, Math.floor(time / 1000)));
    const { path: stage, release } = openStage(open);
    const pack = staged(stage, 'objects.tar.zst', packOf([...changes.values()].filter((content) => content !== undefined)));
    const isKeyframe = delta.size > base.size / 5;
    if (isKeyframe) {
      base = laidOver(base, delta);
      delta = new Map();
    }
    const listing = isKeyframe
      ? staged(stage, 'FILES.tsv.zst', compressFrame(listingBytes(FILES_HEADER, base.values())))
      : staged(stage, 'DELTA.tsv.zst', compressFrame(listingBytes(`${DELTA_HEADER} ${keyframe}`, sortedRows(delta))));
    const at = new Date(time).toISOString();
    const facts = { ...report, backup_start: at, backup_end: at, total_duration: 0.4 + (save % 17) / 10, files_changed: changed, files_new: 1 };
    const { id } = commitSnapshot(open, {
      kind: 'save',
      stage,
      files: [pack, listing],
      time,
      sha: undefined,
      report: (identity) => ({ ...facts, ...identity, note: save % 500 === 0 ? `milestone ${save}` : null, keyframe: isKeyframe ? null : keyframe }),
    });
    release();
    if (isKeyframe) keyframe = id;
    if (backupEvery > 0 && save % backupEvery === 0) {
      const backup = openStage(open);
      const rows = gzipSync(listingBytes(FILES_HEADER, laidOver(base, delta).values()), { level: 1 });
      const files = [staged(backup.path, 'FILES.tsv.gz', rows), staged(backup.path, `${report.project.name}-full.tar.gz`, gzipSync(''))];
      const asBackup = { ...facts, kind: 'backup', type: 'daily', keyframe: null, exported_from: id };
      commitSnapshot(open, {
        kind: 'backup',
        stage: backup.path,
        files,
        time,
        sha: undefined,
        sameAs: id,
        report: (identity) => ({ ...asBackup, ...identity }),
      });
      backup.release();
    }
    if (verifyEvery > 0 && save % verifyEvery === 0)
      appendLine(open.root, readHead(open.root), { kind: 'verify', id, time: at, sums: '-', extra: 'save,ok' });
  }
}
