// The entry of a worker thread: answers jobs one after the other. It knows nothing of projects or
// vaults; all it touches is named in the job or in the pool's setup.

import { parentPort, workerData } from 'node:worker_threads';
import { errnoOf, messageOf } from '../base/errors.ts';
import { createDispatcher } from './dispatch.ts';
import type { PoolSetup } from './jobs.ts';

const port = parentPort;
if (port !== null) {
  const { dispatch } = createDispatcher(workerData as PoolSetup);
  port.on('message', (message: { id: number; job: Parameters<typeof dispatch>[0] }) => {
    dispatch(message.job).then(
      (result) => port.postMessage({ id: message.id, result }),
      (error: unknown) =>
        port.postMessage({
          id: message.id,
          failure: { message: messageOf(error), errno: errnoOf(error), stack: error instanceof Error ? error.stack : undefined },
        }),
    );
  });
}
