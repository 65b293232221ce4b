// Answers about what is there and what is gone: when a path was last saved, that no snapshot has it, what was lost. Pure.

import { formatAge } from '../base/units.ts';
import type { Slots } from '../language/slots.ts';
import { counted, visible } from './render.ts';

/** The sentence for an empty list; undefined where nothing but the vault's emptiness explains it. */
export function noneListed({ moment, path, since }: Slots): string | undefined {
  if (moment !== undefined) return `There is none ${since === true ? 'since' : 'of'} ${visible(moment)}.`;
  return path === undefined ? undefined : `No snapshot has ${visible(path)}; cora find NAME looks for names.`;
}

/** "when was app.db last saved?" @param document of `cora why` */
export function lastOfPath(document: Readonly<Record<string, unknown>>, now: number): string {
  const path = visible(String(document['path']));
  const last = document['last'] as { readonly snapshot_id: string; readonly time: string } | null;
  if (last === null) return `No snapshot has ${path}; cora why -- ${path} says by which rule.`;
  const gone = document['in_newest'] === true ? '' : '; the newest snapshot does not have it';
  return `${path} was last saved ${formatAge(now - Date.parse(last.time))} (${last.snapshot_id})${gone}.`;
}

/** "what did we lose?" @param document of `cora lost` */
export function lostAnswer(
  document: Readonly<Record<string, unknown>>,
  lines: readonly string[],
): { readonly sentence: string; readonly lines: readonly string[] } {
  const critical = (document['losses'] as readonly unknown[]).length;
  if (critical > 0) return { sentence: `${counted(critical, 'thing')} lost; each with the way back:`, lines };
  const [sentence = '', ...rest] = lines;
  return { sentence: `${sentence}.`, lines: rest };
}

/** `cora lost` knows no "since yesterday", which must not look like an answer to it. */
export const lostWhenever = (moment: string): string =>
  `("${visible(moment)}" was left out: cora lost says all that is missing now, whenever it went.)`;
