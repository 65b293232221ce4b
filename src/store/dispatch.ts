// From a job's kind to the function that does it. Each is loaded when first asked for, so that a
// thread that only captures does not load what restores.

import { FrameWriter } from './frame-writer.ts';
import type { Job, JobResult, PoolSetup } from './jobs.ts';
import { ObjectReader } from './object-reader.ts';
import { ObjectTable } from './object-table.ts';

export type Dispatch = <J extends Job>(job: J) => Promise<JobResult<J>>;

/** `close` gives the descriptors of packs back: a process that goes on (cora mcp) must not collect them. */
export type Dispatcher = { readonly dispatch: Dispatch; close(): void };

/** One dispatcher a thread; it keeps the thread's pack descriptor and buffers between jobs. */
export function createDispatcher(setup: PoolSetup): Dispatcher {
  const table = new ObjectTable(setup.table);
  let writer: FrameWriter | undefined;
  let reader: ObjectReader | undefined;
  const writing = (): FrameWriter => {
    if (setup.output === undefined) throw new TypeError('this pool has no pack to write');
    writer ??= new FrameWriter(table, setup.output);
    return writer;
  };
  const reading = (): ObjectReader => {
    reader ??= new ObjectReader(table, setup.packs);
    return reader;
  };
  const perform = async (job: Job): Promise<unknown> => {
    switch (job.kind) {
      case 'files':
        return (await import('./store-job.ts')).storeFiles(job, writing());
      case 'segment':
        return (await import('./store-job.ts')).storeSegment(job, writing());
      case 'check-objects':
        return (await import('./read-jobs.ts')).checkObjects(job, reading());
      case 'restore-files':
        return (await import('./read-jobs.ts')).restoreFiles(job, reading());
      case 'restore-part':
        return (await import('./read-jobs.ts')).restorePart(job, reading());
      case 'archive-batch':
        return (await import('./archive-job.ts')).archiveBatch(job, reading());
      case 'find-line':
        return (await import('./archive-job.ts')).findLine(job, reading());
      case 'export-file':
        return (await import('./read-jobs.ts')).exportFile(job, reading());
      case 'seal-pack':
        return (await import('./pack-output.ts')).sealPack(job);
      case 'hash-cold':
        return (await import('./read-jobs.ts')).hashCold(job);
      case 'check-database':
        return (await import('../os/sqlite.ts')).checkCopy(job.path, job.check);
      case 'hash-files':
        return (await import('./read-jobs.ts')).hashFiles(job);
    }
  };
  return {
    dispatch: perform as Dispatch,
    close() {
      writer?.close();
      reader?.close();
    },
  };
}
