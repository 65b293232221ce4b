// Phrases that would fit a hundred programs ("how big is it?", "revert the changes", "what version is this?") need
// a word that only Cora can be meant by: a backup, a vault, a moment, a path. Pure.

import type { Intent } from './lexicon.ts';
import type { Token } from './tokens.ts';

const SNAPSHOTS = ['BK', 'BKS', 'SV', 'SVS', 'ID'];
/** Verbs that mean a restore by themselves. */
const RESTORES = /^(?:restore|restoring|recover|undelete|bring back|revive|resurrect|reinstate|rescue)$/;
/** What `cora rotate` may cut: texts that grow by lines. */
const GROWS = /\.(?:log|md|txt|jsonl|ndjson|out|err)$|^[A-Z0-9_]+$/;

/** True where nothing else than Cora can be meant. */
export function isAnchored(intent: Intent, tokens: readonly Token[]): boolean {
  const has = (...names: readonly string[]) => tokens.some(({ classes }) => classes.some((name) => names.includes(name)));
  const says = (pattern: RegExp) => tokens.some(({ word }) => pattern.test(word));
  switch (intent) {
    case 'restore':
      return (
        says(RESTORES) ||
        has(...SNAPSHOTS, 'PATH', 'DBS', 'CRIT', 'VECTOR', 'MOMENT', 'SPAN', 'BEFORE', 'EVERY', 'EARLIER') ||
        (has('VERSIONS') && has('RECENT'))
      );
    case 'list':
      return has(...SNAPSHOTS, 'VAULT', 'PATH') || says(/^(?:them|list|all of them|save|saved|back up|backed up)$/) || has('RESTOREV', 'GOBACK');
    case 'size':
      return (
        has(...SNAPSHOTS, 'VAULT', 'PATH', 'USAGE', 'LEFT') ||
        (says(/^how (?:much|full).*|enough|full|running|low|short/) && says(/space|disk|room|storage/)) ||
        (has('BIGGEST') && has('FILE', 'LOGS', 'USE'))
      );
    case 'last':
      return has(...SNAPSHOTS, 'OFFSITE', 'DRILL', 'BACKUP') || says(/^(?:save|saved|backed up|verify|verified|verification|drill|restore)$|backup/);
    case 'rotate':
      return tokens.every(({ text, classes }) => !classes.includes('PATH') || GROWS.test(text));
    default:
      return true;
  }
}
