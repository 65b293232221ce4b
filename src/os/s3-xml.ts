// The few XML documents of S3's answers, read strictly: elements, text, the five entities and numbers.
// Invariant: what is not such a document whole (HTML, a cut answer, a document type) is undefined, never half of it.

export type Element = { readonly name: string; readonly text: string; readonly children: readonly Element[] };

type Open = { readonly name: string; text: string; readonly children: Element[] };

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
/** A tag, closed or not; attributes are looked over, not kept. */
const TAG = /<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y;
const PROLOG = /^\uFEFF?\s*(?:<\?xml\b[^?]*\?>)?\s*/;
const MAX_DEPTH = 16;

/** The root element, or undefined for anything that is not exactly one element. */
export function parseXml(document: string): Element | undefined {
  const stack: Open[] = [];
  let at = PROLOG.exec(document)?.[0].length ?? 0;
  for (;;) {
    TAG.lastIndex = at;
    const tag = TAG.exec(document);
    if (tag === null) return undefined;
    at = TAG.lastIndex;
    const [, closing, name = '', attributes, empty] = tag;
    if (closing === '') {
      if (stack.length === MAX_DEPTH) return undefined;
      stack.push({ name, text: '', children: [] });
    } else if (attributes !== '' || empty !== '' || stack.at(-1)?.name !== name) return undefined;
    if (closing !== '' || empty !== '') {
      const ended = stack.pop();
      if (ended === undefined) return undefined;
      if (stack.length === 0) return document.slice(at).trim() === '' ? ended : undefined;
      stack.at(-1)?.children.push(ended);
    }
    const next = document.indexOf('<', at);
    const text = next === -1 ? undefined : decode(document.slice(at, next));
    const inner = stack.at(-1);
    if (text === undefined || inner === undefined) return undefined;
    inner.text += text;
    at = next;
  }
}

/** The text of the only child of that name; undefined where there is none or more than one. */
export function textOf(element: Element, name: string): string | undefined {
  const found = element.children.filter((child) => child.name === name);
  return found.length === 1 ? found[0]?.text : undefined;
}

/** Text as element content. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function decode(text: string): string | undefined {
  let known = true;
  const decoded = text.replace(/&([^;&]*;?)/g, (_, body: string) => {
    const character = characterOf(body);
    known &&= character !== undefined;
    return character ?? '';
  });
  return known ? decoded : undefined;
}

function characterOf(body: string): string | undefined {
  const [, hex, decimal, name] = /^(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|([a-z]+));$/.exec(body) ?? [];
  if (name !== undefined) return NAMED[name];
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}
