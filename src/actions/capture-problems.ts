// What can happen to one file of a capture, as problems for the report (codes: docs/json.md).

import type { Bytes } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { pathFields } from '../base/path-fields.ts';

/** A file that could not be read. One that vanished meanwhile is no failure, unless it is critical. */
export function notStored(path: Bytes, errno: string, critical: boolean): Problem {
  if (errno === 'ENOENT' || errno === 'ELOOP' || errno === 'ENOTDIR') {
    return {
      code: 'vanished',
      ...pathFields(path),
      message: 'The file vanished between the scan and the read',
      severity: critical ? 'error' : 'warning',
    };
  }
  return { code: 'unreadable', ...pathFields(path), message: `The file cannot be read (${errno}); it is not in this snapshot`, severity: 'error' };
}

export function unstable(path: Bytes): Problem {
  return {
    code: 'unstable',
    ...pathFields(path),
    message: 'The file changed each time it was read; what is stored may mix two states',
    severity: 'error',
  };
}

/** An encrypted database cannot be copied as one; it is stored like any file, which may catch it in the middle of a write. */
export function encrypted(path: Bytes): Problem {
  const message = 'It is named like a database and looks encrypted; its bytes are stored as they are, not as a consistent copy';
  return { code: 'db_encrypted', ...pathFields(path), message, severity: 'error' };
}
