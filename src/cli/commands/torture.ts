// `cora torture`.

import { randomInt } from 'node:crypto';
import { realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { torture } from '../../actions/torture.ts';
import { recordTorture } from '../../actions/torture-ledger.ts';
import type { Certificate } from '../../actions/torture-result.ts';
import { certificateLines } from '../../actions/torture-text.ts';
import { type Bytes, fromText, fsPath, isText, toText } from '../../base/bytes.ts';
import { CoraError, messageOf } from '../../base/errors.ts';
import { parseBytes } from '../../base/units.ts';
import { exists } from '../../os/files.ts';
import { NAMES } from '../../vault/layout.ts';
import { openLocated, requireOwn, type VaultLocation } from '../../vault/locate.ts';
import type { Project } from '../../vault/project.ts';
import type { Outcome, Session } from '../command.ts';
import { counted, visible } from '../render.ts';

type Options = { readonly minutes?: string; readonly space?: string; readonly seed?: number };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

const DEFAULT_SPACE = 512_000_000;
/** Bench, copies and what the runs add. */
const LEAST_SPACE = 50_000_000;
const SEEDS = 1_000_000_000;

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const named = [...args, ...paths][0];
  const duration = parseMinutes(options.minutes ?? '5') * 60_000;
  const space = options.space === undefined ? DEFAULT_SPACE : parseBytes(options.space);
  if (space < LEAST_SPACE) throw new CoraError('usage', '--space is too little', { hint: 'it needs 50MB, and 120MB (xfs: 300MB) for power cuts' });
  const { project, location } = await session.open();
  const directory = directoryOf(named === undefined ? undefined : session.absolute(named), project, location);
  const { machine, ctx } = session;
  const certificate = await torture(
    {
      directory,
      duration,
      space,
      seed: options.seed ?? randomInt(SEEDS),
      launcher: machine.launcher,
      searchPath: machine.env('PATH') ?? '/usr/local/bin:/usr/bin:/bin',
      uid: machine.uid,
    },
    ctx,
  );
  const lines = certificateLines(certificate);
  const stored = store(project, location, certificate, lines, session);
  const result = { ...certificate, certificate: stored ?? null };
  const shown = [
    ...lines.map(visible),
    stored === undefined ? 'Not kept: this project has no vault yet (cora save makes one)' : `Kept      ${visible(`${location.path}/${stored}`)}`,
  ];
  if (certificate.outcome === 'ok') return { result, lines: shown };
  const lost = certificate.parts.reduce((sum, part) => sum + part.losses, 0);
  const message = `${counted(lost, 'point')} of ${certificate.points} lost something on this disk`;
  return {
    result,
    lines: shown,
    failure: { code: 'damaged', message, hint: 'the lines above name them; do not trust this disk, or report it', details: result },
  };
}

function parseMinutes(text: string): number {
  const minutes = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (minutes <= 0) throw new CoraError('usage', `--minutes is not a number of minutes: ${text}`, { hint: '--minutes 10' });
  return minutes;
}

/** Where it is tried: not in the project, which saves everything in it, and not in a vault. */
function directoryOf(named: Bytes | undefined, project: Project, location: VaultLocation): string {
  const wanted = named ?? nearestThere(dirname(location.path));
  if (!isText(wanted)) throw new CoraError('usage', 'The name of the directory is not UTF-8', { hint: 'name another one' });
  let directory: string;
  try {
    directory = realpathSync(toText(wanted));
    if (!statSync(directory).isDirectory()) throw new Error('it is no directory');
  } catch (error) {
    throw new CoraError('usage', `${toText(wanted)} cannot be tried: ${messageOf(error)}`, { hint: 'name a directory that is there', cause: error });
  }
  const below = (parent: string) => `${directory}/`.startsWith(`${parent}/`);
  if (below(realOf(toText(project.root))) || below(realOf(location.path)))
    throw new CoraError('refused', `${directory} lies in the project or its vault`, {
      hint: 'name another directory on the same disk: cora torture DIR',
    });
  for (let at = directory; at !== '/'; at = dirname(at))
    if (exists(`${at}/${NAMES.vaultJson}`))
      throw new CoraError('refused', `${directory} lies in a vault, ${at}`, { hint: 'name another directory on the same disk: cora torture DIR' });
  return directory;
}

function nearestThere(path: string): Bytes {
  let at = path;
  while (!exists(at) && at !== '/') at = dirname(at);
  return fromText(at);
}

function realOf(path: string): string {
  return exists(path) ? realpathSync(fsPath(fromText(path)).toString()) : path;
}

/** In the vault of the project around, where there is one. */
function store(project: Project, location: VaultLocation, certificate: Certificate, lines: readonly string[], { ctx }: Session): string | undefined {
  if (!exists(location.path)) return undefined;
  const vault = openLocated(location);
  requireOwn(vault, project);
  return recordTorture(vault, certificate, lines, ctx);
}
