// Runs as a process of its own, so that it can be killed: the removal of saves as clean-up does it, reduced to its order.
// argv: the vault, then the ids of the saves that go. Prints what `compactSaves` gave.

import { compactSaves, dropGathered } from '../../src/actions/compact.ts';
import { SILENT } from '../../src/base/context.ts';
import { takeLock } from '../../src/os/lock.ts';
import { forgetPacks } from '../../src/store/object-index.ts';
import { listSnapshots } from '../../src/vault/catalog.ts';
import { NAMES } from '../../src/vault/layout.ts';
import { adoptUnrecorded } from '../../src/vault/snapshot.ts';
import { beginPruning, emptyTrash, moveToTrash, recoverPruning } from '../../src/vault/trash.ts';
import { clearStages, lockForWriting, openVault } from '../../src/vault/vault.ts';

const [path = '', ...ids] = process.argv.slice(2);
const vault = openVault(path);
const lock = lockForWriting(vault, 60_000);
clearStages(vault);
adoptUnrecorded(vault);
recoverPruning(vault, Date.now());
const doomed = listSnapshots(vault).filter(({ id, kind }) => kind === 'save' && ids.includes(id));
const ctx = { monitor: SILENT, now: Date.now, signal: new AbortController().signal, workers: 0, lockWait: 0, version: 'test' };
const compaction = await compactSaves(vault, doomed, ctx);
const alone = takeLock(`${vault.root}/${NAMES.gcLock}`, 'exclusive', 60_000);
forgetPacks(vault.root, new Set(doomed.map(({ directory }) => `${directory}/${NAMES.pack}`)));
beginPruning(vault, doomed);
for (const form of doomed.toReversed()) moveToTrash(vault, form, new Set(), Date.now());
emptyTrash(vault);
dropGathered(vault, compaction);
alone.release();
lock.release();
process.stdout.write(`${JSON.stringify(compaction)}\n`);
