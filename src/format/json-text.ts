// JSON as text that somebody wrote: where each value stands, so that one can be added or taken out and every other
// byte stays as it is. Pure. Only what JSON.parse takes is taken; comments are not JSON.

/** Offsets into the text; `end` is after the last character. */
export type JsonNode = {
  readonly start: number;
  readonly end: number;
  readonly members?: readonly JsonMember[];
  readonly items?: readonly JsonNode[];
  readonly value: unknown;
};

export type JsonMember = { readonly key: string; readonly start: number; readonly node: JsonNode };

/**
 * @param text a byte order mark in front is passed over
 * @throws SyntaxError for what is not JSON
 */
export function parseJsonText(text: string): JsonNode {
  const from = text.startsWith('\ufeff') ? 1 : 0;
  const value: unknown = JSON.parse(text.slice(from));
  return new Reader(text, from).read(value);
}

/** The last member of that name, which is the one that counts. */
export function memberOf(node: JsonNode | undefined, key: string): JsonNode | undefined {
  return node?.members?.findLast((member) => member.key === key)?.node;
}

/** Walks a text that is known to be JSON, so it looks for nothing but the ends of values. */
class Reader {
  readonly #text: string;
  #at: number;

  constructor(text: string, at: number) {
    this.#text = text;
    this.#at = at;
  }

  read(value: unknown): JsonNode {
    this.#space();
    const start = this.#at;
    if (this.#text[start] === '{') return this.#object(start, value);
    if (this.#text[start] === '[') return this.#array(start, value);
    if (this.#text[start] === '"') this.#string();
    else while (this.#at < this.#text.length && !/[\s,\]}]/.test(this.#text[this.#at] ?? '')) this.#at++;
    return { start, end: this.#at, value };
  }

  #object(start: number, value: unknown): JsonNode {
    const members: JsonMember[] = [];
    for (this.#open(); this.#text[this.#at] !== '}'; this.#next()) {
      const from = this.#at;
      const key = JSON.parse(this.#string()) as string;
      this.#space();
      this.#at++;
      // Of a name that stands there twice the last value is known; the other one's text is passed over all the same.
      const inner = Object.getOwnPropertyDescriptor(Object(value), key)?.value as unknown;
      members.push({ key, start: from, node: this.read(inner) });
    }
    this.#at++;
    return { start, end: this.#at, members, value };
  }

  #array(start: number, value: unknown): JsonNode {
    const items: JsonNode[] = [];
    for (this.#open(); this.#text[this.#at] !== ']'; this.#next()) items.push(this.read((value as unknown[] | undefined)?.[items.length]));
    this.#at++;
    return { start, end: this.#at, items, value };
  }

  #open(): void {
    this.#at++;
    this.#space();
  }

  #next(): void {
    this.#space();
    if (this.#text[this.#at] === ',') this.#at++;
    this.#space();
  }

  #space(): void {
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  /** The raw text of a string, quotes included. */
  #string(): string {
    const start = this.#at++;
    while (this.#text[this.#at] !== '"') this.#at += this.#text[this.#at] === '\\' ? 2 : 1;
    this.#at++;
    return this.#text.slice(start, this.#at);
  }
}
