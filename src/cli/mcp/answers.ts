// Answers and errors as the protocol carries them: one sentence and short lines as text, of a kilobyte at most
// and cleaned, and the facts as fields by the tool's schema.

import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { CoraError } from '../../base/errors.ts';
import { visible } from '../render.ts';
import type { Answer, Tool } from './tool.ts';

const TEXT_BYTES = 1000;

export function answerOf({ name, output }: Tool, { sentence, lines = [], data }: Answer): CallToolResult {
  const { data: fields, error } = output.safeParse(data);
  if (fields === undefined) throw new CoraError('internal', `The answer of ${name} is not of its own form`, { cause: error });
  return { content: [{ type: 'text', text: shortText([sentence, ...lines]) }], structuredContent: fields };
}

export function errorAnswer({ code, message, hint }: CoraError): CallToolResult {
  const next = hint === undefined ? '' : `. Next: ${hint}`;
  return {
    isError: true,
    content: [{ type: 'text', text: shortText([`${message} (${code})${next}`]) }],
    _meta: { error: { code, why: message, next: hint ?? null } },
  };
}

/** What no screen shows and a model still reads: zero-width characters and tags. */
const UNSEEN = /[\u200b-\u200d\u2060-\u2064\ufeff\u{e0000}-\u{e007f}]/gu;

/** `visible`, and nothing in it that a person would not see. */
export function plain(line: string): string {
  return visible(line).replace(UNSEEN, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16)}`);
}

/** Whole lines as far as they fit, the first one in any case. */
function shortText(lines: readonly string[]): string {
  const [first = '', ...rest] = lines.map(plain);
  let text = cut(first);
  let left = rest.length;
  for (const line of rest) {
    const longer = `${text}\n${line}`;
    if (Buffer.byteLength(longer) > TEXT_BYTES - 40) break;
    text = longer;
    left -= 1;
  }
  return left === 0 ? text : `${text}\nand ${left} more lines`;
}

function cut(text: string): string {
  if (Buffer.byteLength(text) <= TEXT_BYTES) return text;
  return `${Buffer.from(text)
    .subarray(0, TEXT_BYTES - 3)
    .toString('utf8')
    .replace(/\ufffd+$/, '')}...`;
}
