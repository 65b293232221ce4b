// The certificate in the vault: two files below ledger/torture/ and a line in the ledger that has the hash of one of them
// (docs/format.md, kind `torture`); and what the newest line says.

import { createHash } from 'node:crypto';
import type { Context } from '../base/context.ts';
import { messageOf } from '../base/errors.ts';
import { formatAge } from '../base/units.ts';
import { makeDirectories, syncDirectory, writeNewFile } from '../os/files.ts';
import { appendLine, type ChainLine, findLast, readHead } from '../vault/chain.ts';
import { NAMES } from '../vault/layout.ts';
import { adoptUnrecorded } from '../vault/snapshot.ts';
import { lockForWriting, type Vault } from '../vault/vault.ts';
import { type HealthCheck, ok, warning } from './health-check.ts';
import type { Certificate } from './torture-result.ts';

/** A run of `cora torture` as its line has it. */
export type RecordedTorture = {
  /** The name of its files. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly points: number;
  readonly losses: number;
  readonly fileSystem: string;
};

/**
 * Stores it. Where that cannot be (read-only vault, another run) it is said, and left out.
 * @returns the JSON file, relative to the vault; undefined where it is not there
 */
export function recordTorture(vault: Vault, certificate: Certificate, lines: readonly string[], ctx: Context): string | undefined {
  const { id, points, parts, place } = certificate;
  const losses = parts.reduce((sum, part) => sum + part.losses, 0);
  const name = `${NAMES.torture}/${id}.json`;
  try {
    const lock = lockForWriting(vault, ctx.lockWait);
    try {
      adoptUnrecorded(vault);
      const text = `${JSON.stringify(certificate, null, 2)}\n`;
      makeDirectories(vault.root, `${vault.root}/${NAMES.torture}`);
      writeNewFile(`${vault.root}/${name}`, text);
      writeNewFile(`${vault.root}/${NAMES.torture}/${id}.txt`, `${lines.join('\n')}\n`);
      syncDirectory(`${vault.root}/${NAMES.torture}`);
      appendLine(vault.root, readHead(vault.root), {
        kind: 'torture',
        id,
        time: new Date(ctx.now()).toISOString(),
        sums: createHash('sha256').update(text).digest('hex'),
        extra: [losses === 0 ? 'ok' : 'lost', points, losses, encodeURIComponent(place.file_system)].join(','),
      });
    } finally {
      lock.release();
    }
    return name;
  } catch (error) {
    ctx.monitor.problem({ code: 'not_recorded', message: `This certificate is not in the vault: ${messageOf(error)}`, severity: 'warning' });
    return undefined;
  }
}

export function lastTorture(vault: Vault): RecordedTorture | undefined {
  const line = findLast(vault.root, ({ kind }) => kind === 'torture');
  return line === undefined ? undefined : parseTorture(line);
}

function parseTorture({ id, time, extra }: ChainLine): RecordedTorture {
  const [, points, losses, fileSystem = ''] = extra.split(',');
  return { id, time: Date.parse(time), points: Number(points), losses: Number(losses), fileSystem: decodeURIComponent(fileSystem) };
}

/** Nothing where nobody ever tried: it is no duty. */
export function tortureHealth(vault: Vault, now: number): HealthCheck[] {
  const last = lastTorture(vault);
  if (last === undefined) return [];
  const { losses, points, fileSystem, time, id } = last;
  const when = `${points} faults on ${fileSystem} ${formatAge(now - time)}`;
  if (losses > 0)
    return [warning('torture', `Of ${when}, ${losses} lost something`, `see ${NAMES.torture}/${id}.txt in the vault, and do not trust that disk`)];
  return [ok('torture', `Of ${when}, none lost anything`)];
}
