// Reading what is on the disk, not what is in memory: O_DIRECT reads go past the page cache, which
// would hide a bad sector or a write that the disk never made.

import { closeSync, constants, openSync, readSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';

/** O_DIRECT wants aligned memory, and WebAssembly memory is page-aligned. One buffer a thread. */
const CHUNK = 1 << 20;
let aligned: Buffer | undefined;

/** Of the WebAssembly namespace only what is used here; TypeScript has it in its DOM library alone. */
declare const WebAssembly: { readonly Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer } };

/**
 * Reads a whole file in order, past the page cache where the file system can (else through it).
 * @param visit gets each part; the bytes are valid only during the call
 * @returns bytes read, and whether they came past the cache
 * @throws the system error of open or read
 */
export function readCold(path: string | Buffer, visit: (part: Buffer, offset: number) => void): { bytes: number; cold: boolean } {
  aligned ??= Buffer.from(new WebAssembly.Memory({ initial: CHUNK >> 16 }).buffer);
  let cold = true;
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error;
    cold = false;
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  }
  try {
    let offset = 0;
    for (;;) {
      let count: number;
      try {
        count = readSync(fd, aligned, 0, CHUNK, offset);
      } catch (error) {
        if (errnoOf(error) !== 'EINVAL' || !cold) throw error;
        closeSync(fd);
        fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
        cold = false;
        continue;
      }
      if (count === 0) break;
      visit(aligned.subarray(0, count), offset);
      offset += count;
      // After a short read the offset is no longer aligned: this was the end of the file.
      if (count < CHUNK && cold) break;
    }
    return { bytes: offset, cold };
  } finally {
    closeSync(fd);
  }
}
