// `cora cat`: the one command whose stdout is bytes as they are.

import { openFile } from '../../actions/cat.ts';
import { type Bytes, bytes, printable } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';
import type { Outcome, Session } from '../command.ts';
import { entryDocument } from '../render-travel.ts';
import { pathFields } from '../results.ts';
import { namedSnapshot } from '../snapshot-name.ts';

type Input = { readonly options: { readonly force?: boolean }; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

/** A document is one line in memory, of both sides. */
const DOCUMENT_LIMIT = 16 << 20;

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { location } = await session.locate();
  const [word, path] = snapshotAndPath([...args, ...paths]);
  const { target, fields } = await namedSnapshot(word, {}, location, session);
  const { file, close } = await openFile(location, target ?? 'latest', path, session.absolute(path), session.ctx);
  try {
    const facts = { snapshot_id: file.ref.id, ...pathFields('path', file.entry.path), ...entryDocument(file.entry), ...fields };
    if (session.globals.json === true) {
      if (file.entry.size > DOCUMENT_LIMIT)
        throw new CoraError('usage', `${printable(file.entry.path)} is too large for a document (${formatBytes(file.entry.size)})`, {
          hint: 'leave --json out',
        });
      const parts: Uint8Array[] = [];
      for await (const chunk of file.chunks()) parts.push(chunk);
      return { result: { ...facts, content_base64: Buffer.concat(parts).toString('base64') }, lines: [] };
    }
    for await (const chunk of file.chunks()) {
      if (session.toTerminal && options.force !== true && isBinary(chunk)) {
        throw new CoraError('refused', `${printable(file.entry.path)} is not text: it would garble the terminal`, {
          hint: 'write it to a file (> FILE), or add --force',
        });
      }
      if (!(await session.send(chunk))) break;
    }
    return { result: facts, lines: [] };
  } finally {
    close();
  }
}

/** `ID PATH` or `ID:PATH`. */
function snapshotAndPath(words: readonly Bytes[]): readonly [Bytes, Bytes] {
  const [first = bytes(''), second] = words;
  if (second !== undefined) return [first, second];
  const colon = first.indexOf(':');
  if (colon <= 0 || colon === first.length - 1) throw new CoraError('usage', 'cat needs a snapshot and a path', { hint: 'cora cat latest PATH' });
  return [bytes(first.slice(0, colon)), bytes(first.slice(colon + 1))];
}

/** Control characters that no text has, but for what moves on a line: a terminal would obey them. */
function isBinary(content: Uint8Array): boolean {
  return /[\x00-\x07\x0e-\x1f\x7f]/.test(Buffer.from(content).toString('latin1'));
}
