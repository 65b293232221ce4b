// Valid bytes, spoilt: what a bad disk, a crash, another program or a hostile hand makes of a file. For fuzzing readers:
// most random bytes fail at the first check, a mutated valid input gets past it.

import fc from 'fast-check';

type Change = { readonly how: (typeof HOW)[number]; readonly at: number; readonly length: number; readonly bytes: Uint8Array; readonly word: string };

const HOW = ['flip', 'cut', 'remove', 'repeat', 'insert', 'overwrite', 'swap', 'word', 'number', 'zero', 'deep'] as const;

/** Words that readers of some format take for more than text. */
const WORDS = [
  '../../etc/passwd', '/etc/passwd', '__proto__', 'constructor', 'null', 'NaN', '-1', '-0', '1e999', '99999999999999999999', '9007199254740993', '2147483648',
  '4294967295', '0x10', '\0', '\n', '\r\n', '\t', '\x1b[2J', '"', '\\', '\\u0000', '{}', '[]', '""', 'true', '{"a":', '//', '.', '..', '%00', '%', '\ud800', '\ufeff', '-'.repeat(300), 'A'.repeat(5000),
] as const; // biome-ignore format: a table

/** @param valid examples; each result is one of them after one to four changes, or now and then bytes from nowhere */
export function mutated(...valid: readonly (string | Uint8Array)[]): fc.Arbitrary<Buffer> {
  const change = fc.record<Change>({
    how: fc.constantFrom(...HOW),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    length: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 600 })),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
    word: fc.constantFrom(...WORDS),
  });
  const spoilt = fc
    .record({ from: fc.constantFrom(...valid.map((one) => Buffer.from(one as string))), changes: fc.array(change, { minLength: 1, maxLength: 4 }) })
    .map(({ from, changes }) => changes.reduce(changed, from));
  return fc.oneof({ weight: 12, arbitrary: spoilt }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) });
}

function changed(from: Buffer, { how, at: place, length, bytes, word }: Change): Buffer {
  const at = Math.floor(place * from.length);
  const [before, after] = [from.subarray(0, at), from.subarray(at)];
  switch (how) {
    case 'flip': {
      const copy = Buffer.from(from);
      if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << (length & 7));
      return copy;
    }
    case 'cut':
      return before;
    case 'remove':
      return Buffer.concat([before, after.subarray(length)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after]);
    case 'insert':
      return Buffer.concat([before, bytes, after]);
    case 'overwrite':
      return Buffer.concat([before, bytes, after.subarray(bytes.length)]);
    case 'swap':
      return Buffer.concat([after, before]);
    case 'zero':
      return Buffer.concat([before, Buffer.alloc(Math.min(length, after.length)), after.subarray(length)]);
    case 'word':
      return inText(from, at, /[\w.:/-]+/g, word);
    case 'number':
      return inText(from, at, /\d+/g, word);
    case 'deep':
      return Buffer.concat([before, Buffer.from('[{"a":'.repeat(length * 20)), after]);
  }
}

/** The next piece of the text from a place on, as bytes, is another word. */
function inText(from: Buffer, at: number, piece: RegExp, word: string): Buffer {
  const text = from.toString('latin1');
  piece.lastIndex = at;
  const match = piece.exec(text);
  if (match === null) return from;
  return Buffer.concat([from.subarray(0, match.index), Buffer.from(word), from.subarray(match.index + match[0].length)]);
}
