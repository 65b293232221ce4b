// A loss in words, and the commands that end it. Each is one line for sh that does what it says from
// whatever directory it is pasted into, whatever bytes are in the names.

import { ARTEFACTS, isArtefactPath } from '../base/artefact.ts';
import { type Bytes, basenameBytes, bytes, dirnameBytes, fromText, isText, toText } from '../base/bytes.ts';
import type { Problem } from '../base/context.ts';
import { formatBytes } from '../base/units.ts';
import type { LossReport } from '../format/report.ts';
import type { Vault } from '../vault/vault.ts';
import { keyOf } from './loss-baseline.ts';

const CHROMA_DATABASE = 'chroma.sqlite3';

/** Where the commands are to work. */
export type Place = { readonly root: Bytes; readonly vault: Vault };

/** One problem for each loss; its message ends with what to type. */
export function lossProblems(losses: readonly LossReport[], place: Place): Problem[] {
  return losses.map((loss) => ({
    code: 'lost',
    path: loss.path,
    ...(loss.path_base64 === undefined ? {} : { path_base64: loss.path_base64 }),
    message: `${describeLoss(loss)}. To bring it back: ${restoreCommand(loss, place)} -- or, if it was meant: ${acceptCommand(loss, place)}`,
    severity: 'error',
  }));
}

export function describeLoss(loss: LossReport): string {
  switch (loss.kind) {
    case 'gone':
      return `LOST: it was there in ${loss.last_good} (${formatBytes(loss.before)}) and is gone`;
    case 'emptied':
      if (loss.path === '.')
        return `LOST: the whole project is empty, and in ${loss.last_good} it had ${loss.before} ${loss.before === 1 ? 'file' : 'files'}; perhaps its disk is not mounted`;
      return `LOST: it had ${formatBytes(loss.before)} in ${loss.last_good} and is empty`;
    case 'shrunk':
      return `LOST: it had ${formatBytes(loss.before)} in ${loss.last_good} and has ${formatBytes(loss.after)}`;
    case 'rows':
      return `LOST: it had ${loss.before} rows in ${loss.last_good} and has ${loss.after}`;
    case 'table':
      return `LOST: its table ${loss.table ?? ''} had ${loss.before} rows in ${loss.last_good} and has ${loss.after}`;
  }
}

/** A database goes back through SQLite, whether or not its program works; what is left of it stays for `cora restore --undo`. */
export function restoreCommand(loss: LossReport, place: Place): string {
  const here = `cd ${quoted(place.root)} && `;
  if (isArtefactPath(keyOf(loss))) {
    const name = quoted(bytes(keyOf(loss).slice(ARTEFACTS.length + 1)));
    return `${here}cora artefact restore ${name} ${loss.last_good}${vaultOption(place.vault)} --yes`;
  }
  const restore = `cora restore ${loss.last_good}${vaultOption(place.vault)} --yes`;
  if (loss.path === '.') return here + restore;
  const path = quoted(unitOf(keyOf(loss)));
  return `${here}${restore}${loss.tables === undefined ? '' : ' --live'} -- ${path}`;
}

/** The directory of a vector store comes back as a whole: its database without the index beside it answers wrongly. */
function unitOf(path: Bytes): Bytes {
  const directory = dirnameBytes(path);
  return basenameBytes(path) === CHROMA_DATABASE && directory !== '.' ? directory : path;
}

/** Brings paths back from one snapshot, in place. */
export function restorePathsCommand(id: string, paths: readonly Bytes[], place: Place): string {
  return `cd ${quoted(place.root)} && cora restore ${id}${vaultOption(place.vault)} --yes -- ${paths.map(quoted).join(' ')}`;
}

export function acceptCommand(loss: LossReport, place: Place): string {
  const path = quoted(keyOf(loss));
  return `cora lost --accept${vaultOption(place.vault)} ${path.startsWith('-') || path.startsWith("'-") || path.startsWith('"') ? `-- ${path}` : path}`;
}

/** True for the name that a pasted command gave to what it set aside: nobody misses that later. */
export function isSetAside(path: Bytes): boolean {
  return /\.lost-\d{10}$/.test(path);
}

function vaultOption(vault: Vault): string {
  return vault.named === true ? ` --vault ${quoted(fromText(vault.root))}` : '';
}

/** A word for sh: as it is, in single quotes, or made by printf where a terminal would not carry it. */
function quoted(path: Bytes): string {
  const text = toText(path);
  if (isText(path) && /^[A-Za-z0-9_./@%+=:,][A-Za-z0-9_./@%+=:,-]*$/.test(text)) return text;
  // A newline at the end would not survive $(...).
  const plain = isText(path) && !/[\p{C}\p{Zl}\p{Zp}]/u.test(text);
  if (plain || path.endsWith('\n')) return `'${text.replaceAll("'", "'\\''")}'`;
  const format = path.replace(/[^A-Za-z0-9_./@+=:, -]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return `"$(printf -- '${bytes(format)}')"`;
}
