// A JSON registry of the user's application: copied first, so that the bytes that are stored are the bytes
// that were parsed. One that is caught in the middle of a write is looked at again.

import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Bytes, fsPath } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import { pathFields } from '../base/path-fields.ts';
import { onPath } from '../os/long-path.ts';
import { READ_FLAGS } from '../store/store-job.ts';

export type Registry =
  | { readonly size: number; readonly problem?: Problem; readonly error?: undefined }
  /** The errno word. */
  | { readonly error: string };

const TRIES = 4;
const PAUSE_MS = 100;

/**
 * Copies a registry to `target`, a new file.
 * @param source absolute; @param relative its path in the project
 */
export async function copyRegistry(source: Bytes, relative: Bytes, target: Bytes): Promise<Registry> {
  for (let attempt = 1; ; attempt++) {
    let content: Buffer;
    try {
      content = readWhole(source);
    } catch (error) {
      return { error: errnoOf(error) ?? 'EIO' };
    }
    const wrong = whyNotJson(content);
    if (wrong !== undefined && attempt < TRIES) {
      await pause(PAUSE_MS);
      continue;
    }
    writeFileSync(fsPath(target), content, { mode: 0o600 });
    if (wrong === undefined) return { size: content.length };
    const message = `The registry is not valid JSON (${wrong}); its bytes are stored as they are`;
    return { size: content.length, problem: { code: 'registry_invalid_json', ...pathFields(relative), message, severity: 'error' } };
  }
}

function readWhole(path: Bytes): Buffer {
  const fd = onPath(path, (reachable) => openSync(reachable, READ_FLAGS));
  try {
    if (!fstatSync(fd).isFile()) throw Object.assign(new Error('not a file'), { code: 'ENOENT' });
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function whyNotJson(content: Buffer): string | undefined {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
    return undefined;
  } catch (error) {
    // The message may quote the content, which may be a secret.
    const text = messageOf(error);
    return text.includes('end of JSON') ? 'it ends too early' : (/at position \d+/.exec(text)?.[0] ?? 'it begins or goes on with something else');
  }
}
