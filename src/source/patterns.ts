// gitignore patterns over byte paths. The library decides; what it would be asked for every file of
// a tree is answered first by the name alone, because most patterns are plain names (`*.log`, `.env*`).

import ignore from 'ignore';
import { type Bytes, toText } from '../base/bytes.ts';

export type Matcher = (path: Bytes, isDirectory: boolean) => boolean;

/** A matcher of gitignore patterns relative to the project. Empty patterns match nothing. */
export function compilePatterns(patterns: readonly string[]): Matcher {
  const meant = patterns.filter((pattern) => pattern.trim() !== '' && !pattern.startsWith('#'));
  if (meant.length === 0) return () => false;
  const library = ignore({ allowRelativePaths: true }).add(meant);
  const decide: Matcher = (path, isDirectory) => library.ignores(toText(path) + (isDirectory ? '/' : ''));
  const hint = quickTest(meant);
  return hint === undefined ? decide : (path, isDirectory) => hint.test(path) && decide(path, isDirectory);
}

/** A cheap test that is true for every path that any of the patterns can match, or undefined where there is none. */
function quickTest(patterns: readonly string[]): RegExp | undefined {
  const parts: string[] = [];
  for (const pattern of patterns) {
    if (pattern.startsWith('!') || pattern.startsWith('\\') || /[^\x00-\x7f]/.test(pattern)) return undefined;
    const bare = pattern
      .replace(/^\//, '')
      .replace(/\/$/, '')
      .replace(/\/\*\*$/, '');
    if (bare.includes('/') || bare.includes('[') || bare.includes('**')) return undefined;
    parts.push(
      bare
        .replace(/[.+^${}()|\\]/g, '\\$&')
        .replace(/\*/g, '[^/]*')
        .replace(/\?/g, '[^/]'),
    );
  }
  return new RegExp(`(?:^|/)(?:${parts.join('|')})(?:/|$)`, 'i');
}

/** The one of some gitignore patterns that decides that a path matches; undefined where none does. */
export function decidingPattern(patterns: readonly string[], path: Bytes, isDirectory: boolean): string | undefined {
  const meant = patterns.filter((pattern) => pattern.trim() !== '' && !pattern.startsWith('#'));
  if (meant.length === 0) return undefined;
  const { ignored, rule } = ignore({ allowRelativePaths: true })
    .add(meant)
    .test(toText(path) + (isDirectory ? '/' : ''));
  return ignored ? rule?.pattern : undefined;
}
