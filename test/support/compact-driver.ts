// Runs as a process of its own, so that it can be killed: the removal of saves as clean-up does it, reduced to its order.
// argv: the vault, then the ids of the saves that go. Prints what `compactSaves` gave.

import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { compactSaves, dropGathered } from '../../src/actions/compact.ts';
import { SILENT } from '../../src/base/context.ts';
import { namesIn, syncDirectory } from '../../src/os/files.ts';
import { takeLock } from '../../src/os/lock.ts';
import { forgetPacks } from '../../src/store/object-index.ts';
import { listSnapshots } from '../../src/vault/catalog.ts';
import { NAMES } from '../../src/vault/layout.ts';
import { clearStages, lockForWriting, openVault } from '../../src/vault/vault.ts';

const [path = '', ...ids] = process.argv.slice(2);
const vault = openVault(path);
const lock = lockForWriting(vault, 60_000);
clearStages(vault);
const trash = `${vault.root}/.trash`;
for (const name of namesIn(trash)) rmSync(`${trash}/${name}`, { recursive: true });
const doomed = listSnapshots(vault).filter(({ id, kind }) => kind === 'save' && ids.includes(id));
const ctx = { monitor: SILENT, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 0, version: 'test' };
const compaction = await compactSaves(vault, doomed, ctx);
const alone = takeLock(`${vault.root}/${NAMES.gcLock}`, 'exclusive', 60_000);
mkdirSync(trash, { recursive: true });
forgetPacks(vault.root, new Set(doomed.map(({ directory }) => `${directory}/${NAMES.pack}`)));
for (const { id, directory } of doomed.toReversed()) {
  renameSync(`${vault.root}/${directory}`, `${trash}/${id}`);
  syncDirectory(dirname(`${vault.root}/${directory}`));
}
dropGathered(vault, compaction);
for (const name of namesIn(trash)) rmSync(`${trash}/${name}`, { recursive: true });
alone.release();
lock.release();
process.stdout.write(`${JSON.stringify(compaction)}\n`);
