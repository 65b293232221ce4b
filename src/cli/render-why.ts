// `cora why` as lines for people and as a JSON document. Pure.

import type { Rule, WhyResult } from '../actions/why.ts';
import { toText } from '../base/bytes.ts';
import { formatAge, formatBytes } from '../base/units.ts';
import { timeOfId } from '../vault/layout.ts';
import { visible } from './render.ts';
import { damagedDocument, entryDocument, refDocument } from './render-travel.ts';
import { type Document, pathFields } from './results.ts';

/** `.env* (critical.patterns, cora.toml line 4)`; without a file it is built in. */
function ruleText({ key, pattern, file, line }: Rule): string {
  return `${visible(pattern)} (${key}, ${file === undefined ? 'the default' : `${visible(file)} line ${line ?? '?'}`})`;
}

export function whyLines(result: WhyResult, logCap: number, now: number): string[] {
  const path = visible(toText(result.path));
  const { rule, last } = result;
  const where = rule?.file === undefined ? '' : ` (${visible(rule.file)}, line ${rule.line ?? '?'})`;
  const lines =
    result.reason === 'saved'
      ? [
          result.live === undefined
            ? `${path} is not there now; when it is, it is saved`
            : `${path} is saved${result.isDatabase ? ', as a consistent copy of the database' : ''}`,
        ]
      : [`${path} is ${result.isSaved ? '' : 'NOT '}saved: ${visible(result.sentence)}${where}`];
  if (result.critical !== undefined && result.isSaved)
    lines.push(`Critical     by ${ruleText(result.critical)}: a plain copy in each backup, and its loss is told`);
  if (result.log !== undefined && result.isSaved)
    lines.push(
      `Log          by ${ruleText(result.log)}: over ${formatBytes(logCap)} a backup's archive has its newest part${result.isCapped ? ', as now' : ''}; saves hold it whole`,
    );
  if (result.isAppendOnly) lines.push('Append-only  cora protect made it so');
  if (last === undefined) return [...lines, result.isSaved && result.live !== undefined ? 'Last saved   never: cora save' : 'Last saved   never'];
  const state =
    result.changedSince === undefined ? '' : result.changedSince ? '; it has changed since, by size or time' : '; it is as it was, by size and time';
  lines.push(
    `Last saved   ${last.last.id} (${formatAge(now - timeOfId(last.last.id))}), ${last.entry.type === 'd' ? 'a directory' : formatBytes(last.entry.size)}${state}`,
  );
  if (!result.isInNewest)
    lines.push(`The newest snapshot does not have it; cora restore -- ${path} brings it back, cora log -- ${path} shows its versions`);
  return lines;
}

export function whyDocument(result: WhyResult): Document {
  const { rule, critical, log, last } = result;
  const document = (one: Rule | undefined) =>
    one === undefined ? null : { key: one.key, pattern: one.pattern, file: one.file ?? null, line: one.line ?? null };
  return {
    ...pathFields('path', result.path),
    live: result.live ?? null,
    saved: result.isSaved,
    reason: result.reason,
    ...pathFields('decided_by', result.decidedBy),
    message: result.sentence,
    rule: document(rule),
    critical: document(critical),
    log: document(log),
    capped: result.isCapped,
    database: result.isDatabase,
    append_only: result.isAppendOnly,
    last: last === undefined ? null : { ...refDocument(last.last), ...entryDocument(last.entry) },
    in_newest: result.isInNewest,
    changed_since: result.changedSince ?? null,
    damaged: damagedDocument(result.damaged),
  };
}
