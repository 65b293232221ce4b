// Characters that steer a terminal or a pager: control characters, and those that end a line or turn the direction of
// text. One list for all that shows foreign names. Pure.

const STEERING = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The text with each of them replaced. @param shown from its UTF-16 code */
export function escapeSteering(text: string, shown: (code: number) => string): string {
  return text.replace(STEERING, (character) => shown(character.charCodeAt(0)));
}

/** True where a text has one of them. */
export function steers(text: string): boolean {
  return text.search(STEERING) >= 0;
}
