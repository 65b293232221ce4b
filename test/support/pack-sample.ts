// A pack as the store writes one, from texts: two frames and the end, for readers to be tried on.

import { createHash } from 'node:crypto';
import { entryBytes, TAR_END, writeObjectHeader } from '../../src/format/object-entry.ts';
import { compressFrame } from '../../src/format/zstd-frame.ts';

export function packOf(texts: readonly string[]): Buffer {
  const entries = texts.map((text) => {
    const content = Buffer.from(text);
    const entry = Buffer.alloc(entryBytes(content.length));
    writeObjectHeader(entry, 0, createHash('sha256').update(content).digest('hex'), content.length);
    content.copy(entry, 512);
    return entry;
  });
  return Buffer.concat([compressFrame(Buffer.concat(entries)), compressFrame(Buffer.concat(entries.slice(0, 1))), compressFrame(TAR_END)]);
}
