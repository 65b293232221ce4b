// `cora protect` and `cora unprotect` as lines and as JSON. Pure.

import type { ProtectedFile, ProtectResult } from '../actions/protect.ts';
import { toText } from '../base/bytes.ts';
import { pathFields } from '../base/path-fields.ts';
import { sealText, visible } from './render.ts';

const name = ({ path }: ProtectedFile) => visible(toText(path));

export function protectLines({ files, backups }: ProtectResult): string[] {
  const lines = [
    ...files.map((file) =>
      file.appendOnly ? `+a  ${name(file)}: can only grow (chattr +a)` : `--  ${name(file)}: NOT protected: ${file.reason ?? 'the flag is not set'}`,
    ),
    ...files.flatMap((file) => (file.warning === undefined ? [] : [`    ${name(file)}: ${file.warning}`])),
    ...backups.map((backup) =>
      backup.protection === 'kernel' ? `+i  ${backup.id}: sealed` : `--  ${backup.id}: NOT sealed, ${sealText(backup).replace(/^no: /, '')}`,
    ),
  ];
  return lines.length === 0 ? ['There is nothing that lacks its flag: no append-only files, and every backup is as it should be'] : lines;
}

export function unprotectLines({ files, backups }: ProtectResult): string[] {
  const lines = [
    ...files.map((file) =>
      file.appendOnly ? `+a  ${name(file)}: still append-only: ${file.reason ?? 'the flag stays'}` : `--  ${name(file)}: no longer append-only`,
    ),
    ...backups.map((backup) =>
      backup.protection === 'kernel'
        ? `+i  ${backup.id}: still sealed: ${backup.reason ?? 'the flag stays'}`
        : `--  ${backup.id}: no longer sealed; cora protect ${backup.id} seals it again`,
    ),
  ];
  return lines.length === 0 ? ['Cora has made no file append-only here'] : lines;
}

export function protectDocument({ files, backups }: ProtectResult): Readonly<Record<string, unknown>> {
  return {
    files: files.map(({ path, appendOnly, reason, warning }) => ({
      ...pathFields(path),
      append_only: appendOnly,
      reason: reason ?? null,
      warning: warning ?? null,
    })),
    backups: backups.map(({ vault, id, protection, reason }) => ({ vault, snapshot_id: id, protection, protection_reason: reason ?? null })),
  };
}
