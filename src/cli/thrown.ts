// Whatever was thrown, as the one kind of error that is shown: with a code, a sentence and what to do.

import { CoraError, errnoOf, limitHint, messageOf, writeFailure } from '../base/errors.ts';

/** Anything thrown as an error with a code: what the system refused is `io`, all else that is not ours is a bug. */
export function asCoraError(error: unknown, signal: AbortSignal): CoraError {
  if (signal.aborted) {
    if (error instanceof CoraError && error.code === 'interrupted' && error.hint !== undefined) return error;
    const by = typeof signal.reason === 'string' ? ` by ${signal.reason}` : '';
    return new CoraError('interrupted', `Interrupted${by}`, { hint: 'nothing half made is listed; run the command again', cause: error });
  }
  if (error instanceof CoraError) return error;
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT' || errno === 'EFBIG' || errno === 'EROFS') return writeFailure(error, pathOf(error) ?? 'a file');
  if (errno !== undefined && /^E[A-Z0-9]+$/.test(errno)) {
    const message = messageOf(error);
    return new CoraError('io', message, { cause: error, ...limitHint(message) });
  }
  return new CoraError('internal', `Internal error: ${messageOf(error)}`, {
    hint: 'run it again with CORA_DEBUG=1 and report what it prints',
    cause: error,
  });
}

function pathOf(error: unknown): string | undefined {
  return error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : undefined;
}
