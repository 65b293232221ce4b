// Shell patterns over byte paths. Pure. `?` is one character of UTF-8, or one byte that is none.

import type { Bytes } from '../base/bytes.ts';

const CHARACTER = '(?:[\\x00-\\x2e\\x30-\\x7f]|[\\xc2-\\xdf][\\x80-\\xbf]|[\\xe0-\\xef][\\x80-\\xbf]{2}|[\\xf0-\\xf4][\\x80-\\xbf]{3}|[\\x80-\\xff])';

/**
 * A test of paths. Without a slash the pattern is one of names at any depth; with one it is one of whole paths. `*` and `?` do not match
 * a slash, `**` as a whole part matches any number of directories, `[a-z]` and `[!a-z]` one byte; a backslash takes what follows as it is.
 */
export function compileGlob(pattern: Bytes, ignoreCase = false): (path: Bytes) => boolean {
  const anchored = pattern.replace(/^\.\//, '').replace(/(?<=.)\/+$/, '');
  const source = translate(anchored.replace(/^\//, ''));
  const regexp = new RegExp(`^(?:${anchored.includes('/') ? '' : '(?:[^]*/)?'}${source})$`, ignoreCase ? 'i' : '');
  return (path) => regexp.test(path);
}

function translate(pattern: string): string {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const c = pattern[at] ?? '';
    if (c === '*') {
      let stars = 1;
      while (pattern[at + 1] === '*') {
        stars += 1;
        at += 1;
      }
      const whole = stars > 1 && (at - stars < 0 || pattern[at - stars] === '/');
      if (whole && pattern[at + 1] === '/') {
        source += '(?:[^]*/)?';
        at += 1;
      } else source += whole && at + 1 === pattern.length ? '[^]*' : '[^/]*';
    } else if (c === '?') source += CHARACTER;
    else if (c === '[') {
      const end = pattern.indexOf(']', at + 2);
      if (end < 0) source += '\\[';
      else {
        const inner = pattern.slice(at + 1, end);
        const not = /^[!^]/.test(inner);
        source += `(?!/)[${not ? '^' : ''}${(not ? inner.slice(1) : inner).replace(/[\\\]^[]/g, '\\$&')}]`;
        at = end;
      }
    } else {
      const taken = c === '\\' && at + 1 < pattern.length ? (pattern[++at] ?? '') : c;
      source += taken.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
    }
  }
  return source;
}
