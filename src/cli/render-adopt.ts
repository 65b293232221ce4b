// Adopted backups, in lines for people and in the JSON document. Pure.

import type { AdoptResult } from '../actions/adopt.ts';
import type { AdoptedRestoreResult } from '../actions/adopted-restore.ts';
import type { AdoptedCheck } from '../actions/adopted-verify.ts';
import { type Bytes, base64Of, isText, toText } from '../base/bytes.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { AdoptedSnapshot } from '../vault/adopted.ts';
import { counted, LAYOUT_NAMES, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;

const shown = (path: Bytes) => visible(toText(path));
const pathFields = (key: string, path: Bytes): Document =>
  isText(path) ? { [key]: toText(path) } : { [key]: toText(path), [`${key}_base64`]: base64Of(path) };

export function adoptLines({ directory, outcome, snapshots, hasSaves }: AdoptResult): string[] {
  if (outcome === 'forgotten') return [`${shown(directory)} is no longer listed; nothing in it was changed`];
  if (outcome === 'would_forget') return [`${shown(directory)} would no longer be listed`];
  const verb = { adopted: 'Adopted', known: 'Adopted already:', would_adopt: 'Would adopt' }[outcome];
  const first = snapshots[0];
  const last = snapshots.at(-1);
  return [
    `${verb} ${shown(directory)}: ${kindsOf(snapshots)}${first === undefined || last === undefined ? '' : `, ${visible(first.id)} to ${visible(last.id)}`}`,
    ...(hasSaves ? ["Saves in it (progress/) are read by its own restore.sh only: a vault's VAULT.json is missing there"] : []),
    ...(outcome === 'would_adopt' || last === undefined
      ? []
      : [
          `They are never changed and never pruned. Check one: cora verify ${visible(last.id)}; restore it: cora restore ${visible(last.id)} --to DIR`,
        ]),
  ];
}

function kindsOf(snapshots: readonly AdoptedSnapshot[]): string {
  return Object.entries(LAYOUT_NAMES)
    .map(([layout, name]) => [snapshots.filter((snapshot) => snapshot.layout === layout).length, name] as const)
    .filter(([count]) => count > 0)
    .map(([count, name]) => counted(count, name, name.endsWith('copy') ? name.replace(/y$/, 'ies') : `${name}s`))
    .join(', ');
}

export function adoptDocument({ directory, outcome, snapshots }: AdoptResult): Document {
  return {
    outcome,
    ...pathFields('directory', directory),
    snapshots: snapshots.map(adoptedDocument),
  };
}

/** One adopted backup, as `cora show` tells it. */
export function adoptedDocument({ id, layout, tier, path, time }: AdoptedSnapshot): Document {
  return { snapshot_id: id, kind: 'adopted', layout, type: tier ?? null, time: new Date(time).toISOString(), ...pathFields('path', path) };
}

export function adoptedLines({ id, layout, tier, path, time }: AdoptedSnapshot): string[] {
  return [
    `Adopted   ${visible(id)}`,
    `Kind      ${LAYOUT_NAMES[layout]}${tier === undefined ? '' : `, ${tier}`}`,
    `Path      ${shown(path)}`,
    `Made      ${new Date(time).toISOString()}`,
    `Check it: cora verify ${visible(id)}; restore it: cora restore ${visible(id)} --to DIR`,
  ];
}

export function adoptedCheckLines(check: AdoptedCheck): string[] {
  const { snapshot, damaged, files, bytes, cold, seconds } = check;
  const read = `${counted(files, 'file')}, ${formatBytes(bytes)} ${cold ? 'read from the disk' : 'read, in part from memory (this file system hides the disk)'}, ${formatDuration(seconds * 1000)}`;
  const head = `${visible(snapshot.id)} (adopted ${LAYOUT_NAMES[snapshot.layout]}): `;
  return [
    damaged.length === 0 ? `OK ${head}${read}` : `DAMAGED ${head}${counted(damaged.length, 'problem')} in ${read}`,
    ...damaged.map(({ path, reason }) => `  ${visible(path)}: ${visible(reason)}`),
    ...howFar(check),
  ];
}

function howFar({ checked, unchecked }: Pick<AdoptedCheck, 'checked' | 'unchecked'>): string[] {
  return [...checked.map((text) => `  checked: ${visible(text)}`), ...unchecked.map((text) => `  not checked: ${visible(text)}`)];
}

/** The same fields as a snapshot of the vault has, and how far the check went. */
export function adoptedCheckDocument(checks: readonly AdoptedCheck[]): Document {
  return {
    snapshots: checks.map(({ snapshot, damaged, files, bytes, seconds, cold, checked, unchecked }) => ({
      snapshot_id: snapshot.id,
      kind: 'adopted',
      layout: snapshot.layout,
      ok: damaged.length === 0,
      files,
      bytes,
      seconds,
      cold,
      damaged,
      checked,
      not_checked: unchecked,
    })),
    remaining: 0,
    seconds: checks.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

export function adoptedRestoreLines(result: AdoptedRestoreResult): string[] {
  const { snapshot, directory, files, bytes, seconds, dryRun } = result;
  const figures = `${counted(files, 'file')}, ${formatBytes(bytes)}`;
  return [
    dryRun
      ? `Would restore ${visible(snapshot.id)} to ${shown(directory)}: ${figures}`
      : `Restored ${visible(snapshot.id)} to ${shown(directory)}: ${figures}, ${formatDuration(seconds * 1000)}`,
    ...howFar(result),
  ];
}

export function adoptedRestoreDocument(result: AdoptedRestoreResult): Document {
  const { snapshot, directory, files, bytes, seconds, dryRun, checked, unchecked } = result;
  return {
    dry_run: dryRun,
    snapshot_id: snapshot.id,
    kind: 'adopted',
    layout: snapshot.layout,
    ...pathFields('directory', directory),
    files,
    bytes,
    seconds,
    checked,
    not_checked: unchecked,
  };
}
