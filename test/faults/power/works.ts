// The writing commands that the power is cut under: how each is prepared on a disk that holds a project with a history, what it
// makes, what may go, and what exit code 0 claims beside the snapshots.

import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { CoraEnd, KnownSnapshot, RunCora } from '../../../src/actions/judge.ts';
import { bytes } from '../../../src/base/bytes.ts';
import { engine } from '../../../src/cli/engine.ts';
import { cli } from '../../support/cli-run.ts';
import { execute, PATH } from '../../support/sandbox.ts';
import { must } from './disk.ts';

export const CORA = join(import.meta.dirname, '../../../bin/cora');

/** Where things are on a mounted disk. */
export type Machine = {
  readonly mountPoint: string;
  readonly project: string;
  readonly vault: string;
  readonly remote: string;
  readonly env: Readonly<Record<string, string>>;
  /** A process of its own. */
  readonly cora: RunCora;
  /** In this process, which takes a third of the time: for what comes before and after the cut. */
  readonly coraHere: RunCora;
};

export function machineOn(mountPoint: string): Machine {
  const project = join(mountPoint, 'project');
  const vault = join(mountPoint, 'vault');
  const env = { PATH, HOME: join(mountPoint, 'home'), CORA_VAULT: vault, CORA_LOG: '' };
  const host = { cwd: () => bytes(project), now: Date.now, stdio: undefined as never };
  return {
    mountPoint,
    project,
    vault,
    remote: join(mountPoint, 'remote'),
    env,
    cora: (args) => execute(CORA, args, { cwd: project, env }),
    coraHere: (args) => cli(args, engine, { ...env, CORA_WORKERS: '0' }, host),
  };
}

/** A violation of what the command itself claimed, as a sentence. */
type Claim = (machine: Machine, end: CoraEnd | undefined) => Promise<string[]>;

export type Work = {
  readonly name: string;
  /** Begins from a project without a vault. */
  readonly first?: boolean;
  readonly makes: 'save' | 'backup' | null;
  readonly prepare: (machine: Machine) => Promise<void>;
  readonly args: (machine: Machine, known: readonly KnownSnapshot[]) => readonly string[];
  /** Which of the snapshots of before may be gone afterwards. */
  readonly mayGo?: (known: readonly KnownSnapshot[]) => readonly KnownSnapshot[];
  /** It writes into the project, which is wholly old or wholly new afterwards. */
  readonly changesProject?: boolean;
  /** Looked at on the bare disk, before any run. */
  readonly bareClaims?: Claim;
  /** Asked of Cora, after the judge. */
  readonly claims?: Claim;
};

/** Bytes that do not compress, the same for the same text. */
function noise(seed: string, bytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let n = 0; n * 32 < bytes; n++) parts.push(createHash('sha256').update(`${seed} ${n}`).digest());
  return Buffer.concat(parts).subarray(0, bytes);
}

function fill(machine: Machine): void {
  const at = (path: string): string => join(machine.project, path);
  mkdirSync(at('src/deep'), { recursive: true });
  mkdirSync(at('logs'));
  for (const path of ['home', 'remote']) mkdirSync(join(machine.mountPoint, path));
  writeFileSync(at('cora.toml'), 'name = "power"\n');
  for (let n = 0; n < 12; n++) writeFileSync(at(`src/${n % 2 === 0 ? '' : 'deep/'}f${n}.txt`), `file ${n}\n`.repeat(n * 40));
  writeFileSync(at('AI_WORK_LOG.md'), '# Log\n');
  writeFileSync(at('large.bin'), noise('large', 1_300_000));
  sql(machine, 'CREATE TABLE note (text)', "INSERT INTO note VALUES ('first')");
}

function sql(machine: Machine, ...statements: readonly string[]): void {
  const database = new Database(join(machine.project, 'notes.db'));
  for (const statement of statements) database.exec(statement);
  database.close();
}

/** What people do between two saves. */
export function change(machine: Machine, word: string): void {
  const at = (path: string): string => join(machine.project, path);
  writeFileSync(at('src/f0.txt'), `${word}\n`.repeat(300));
  writeFileSync(at(`src/new-${word}.bin`), noise(word, 90_000));
  appendFileSync(at('AI_WORK_LOG.md'), `- ${word}\n`);
  const large = readFileSync(at('large.bin'));
  noise(word, 5000).copy(large, (word.length * 131_072) % 1_200_000);
  writeFileSync(at('large.bin'), large);
  sql(machine, `INSERT INTO note VALUES ('${word}')`);
}

async function well(machine: Machine, ...args: readonly string[]): Promise<void> {
  const run = await machine.coraHere(args);
  if (run.code !== 0) throw new Error(`cora ${args.join(' ')} ended with ${run.code}: ${run.stderr}${run.stdout}`);
}

/** The disk of every work but the first save: a history of saves and backups, one of them not sealed yet. */
export async function makeHistory(machine: Machine): Promise<void> {
  fill(machine);
  await well(machine, 'save');
  for (const word of ['a', 'bb']) {
    change(machine, word);
    await well(machine, 'save');
  }
  change(machine, 'ccc');
  await well(machine, 'backup', 'now');
  change(machine, 'dddd');
  const drop = ['--bounding-set', '-linux_immutable', '--inh-caps', '-linux_immutable'];
  await must('setpriv', ...drop, '--', '/usr/bin/env', '-C', machine.project, ...variables(machine), CORA, 'backup', 'now');
  change(machine, 'eeeee');
  await well(machine, 'save');
}

export function makeEmpty(machine: Machine): void {
  fill(machine);
}

function variables({ env }: Machine): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

const prepare = async (machine: Machine): Promise<void> => change(machine, 'ffffff');
const keep = (count: number) => ['prune', '--confirm', '--yes', '--keep-last', String(count)];

export const WORKS: readonly Work[] = [
  { name: 'first save', first: true, makes: 'save', prepare: async () => {}, args: () => ['save', '--json'] },
  { name: 'first backup', first: true, makes: 'backup', prepare: async () => {}, args: () => ['backup', 'now', '--json'] },
  { name: 'save', makes: 'save', prepare, args: () => ['save', '--json'] },
  { name: 'backup', makes: 'backup', prepare, args: () => ['backup', 'now', '--json'], bareClaims: sealed },
  { name: 'seal', makes: null, prepare: async () => {}, args: () => ['protect', '--json'], bareClaims: sealed },
  {
    name: 'prune',
    makes: null,
    prepare: async () => {},
    args: () => [...keep(1), '--json'],
    mayGo: (known) => known.slice(0, -1),
  },
  {
    // The second clean-up finds packs of the first, which it writes anew.
    name: 'compaction',
    makes: null,
    prepare: async (machine) => {
      for (const word of ['x', 'yy', 'zzz']) {
        change(machine, word);
        rmSync(join(machine.project, 'src/new-a.bin'), { force: true });
        await well(machine, 'save');
      }
      await well(machine, ...keep(4));
    },
    args: () => [...keep(1), '--json'],
    mayGo: (known) => known.slice(0, -1),
  },
  {
    name: 'restore',
    makes: null,
    changesProject: true,
    prepare: async (machine) => {
      // Made here, so that the time of the project's own directory is the same before and after.
      mkdirSync(join(machine.project, '.cora-restore'), { mode: 0o700 });
      writeFileSync(join(machine.project, 'src/f0.txt'), 'wrecked\n');
      rmSync(join(machine.project, 'src/deep'), { recursive: true });
      sql(machine, "INSERT INTO note VALUES ('since')");
    },
    args: (_, known) => ['restore', known.find(({ kind }) => kind === 'save')?.id ?? '', '--yes', '--confirm-service-stopped', '--json'],
  },
  {
    name: 'ship',
    makes: null,
    prepare: async () => {},
    args: ({ remote }) => ['ship', '--remote', remote, '--json'],
    claims: shipped,
  },
];

/** Exit code 0 of a backup or of `protect` says that the flag is there, and it outlives the cut. */
async function sealed({ vault }: Machine, end: CoraEnd | undefined): Promise<string[]> {
  if (end?.code !== 0) return [];
  const { result } = JSON.parse(end.stdout) as { readonly result: { readonly path?: string } };
  const backups = readdirSync(vault).filter((name) => /^\d{8}-\d{6}-/.test(name));
  const claimed = result.path === undefined ? backups.map((name) => join(vault, name)) : [result.path];
  const flags = await must('lsattr', '-R', '-a', '--', ...claimed);
  return flags.split('\n').flatMap((line) => {
    const [, field = '', path = ''] = /^([a-zA-Z-]{10,}) (\/.*)$/.exec(line) ?? [];
    return path === '' || path.endsWith('/..') || field.includes('i') ? [] : [`${path} is not sealed, and that was claimed`];
  });
}

/** Copies that were claimed are whole; where none was, the next `ship` makes them. */
async function shipped(machine: Machine, end: CoraEnd | undefined): Promise<string[]> {
  const remote = ['--remote', machine.remote];
  const check = async (): Promise<string[]> => {
    const run = await machine.coraHere(['ship', '--check', ...remote]);
    return run.code === 0 ? [] : [`ship --check ends with ${run.code}: ${run.stderr}${run.stdout}`];
  };
  if (end?.code === 0) return check();
  const again = await machine.coraHere(['ship', ...remote]);
  return again.code === 0 ? check() : [`the next ship ends with ${again.code}: ${again.stderr}`];
}
