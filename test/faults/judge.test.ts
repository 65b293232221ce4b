// The judge itself: a vault, a project and a Cora that are made up, each with one thing wrong. What it does not see here no
// trial of any fault can show.

import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CoraEnd, type Expectation, judge, type KnownSnapshot, type Places, recordProject, remember } from '../../src/actions/judge.ts';
import { fromText } from '../../src/base/bytes.ts';
import { formatSums } from '../../src/format/checksums.ts';
import { execute } from '../support/sandbox.ts';

const OLD = '20261121-100000-nogit';
const NEW = '20261121-120000-nogit';

let root: string;
let places: Places;
let known: KnownSnapshot[];
/** What the made-up Cora does otherwise than a sound one. */
let lie: { restored?: (directory: string) => void; listed?: string[]; verify?: number; next?: number; left?: string };

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'cora-judge-'));
  places = { project: join(root, 'project'), vault: join(root, 'vault'), scratch: join(root, 'scratch') };
  lie = {};
  mkdirSync(join(places.project, 'empty'), { recursive: true });
  writeFileSync(join(places.project, 'a.txt'), 'abc');
  linkSync(join(places.project, 'a.txt'), join(places.project, 'a-too.txt'));
  symlinkSync('a.txt', join(places.project, 'link'));
  lutimesSync(join(places.project, 'link'), 1, 1);
  for (const name of ['a.txt', 'empty']) utimesSync(join(places.project, name), 1, 1);
  snapshot(backup(OLD));
  snapshot(save(OLD));
  known = await remember(cora, places);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const backup = (id: string) => join(places.vault, id);
const save = (id: string) => join(places.vault, 'progress', id.slice(0, 4), id.slice(4, 6), id.slice(6, 8), id.slice(9));

function snapshot(directory: string, lacks?: string): void {
  const forms = dirname(directory) === places.vault ? ['LARGE_FILES.txt', 'FILES.tsv.gz', 'name-full.tar.gz'] : ['DELTA.tsv.zst', 'objects.tar.zst'];
  const files = ['REPORT.json', 'MANIFEST.txt', ...forms].filter((name) => name !== lacks);
  mkdirSync(directory, { recursive: true });
  for (const name of files) writeFileSync(join(directory, name), `{"${name} of ${directory}": 1}`);
  sum(directory);
}

function sum(directory: string): void {
  const names = readdirSync(directory).filter((name) => name !== 'SHA256SUMS.txt');
  const sums = names.map((name) => ({
    path: fromText(name),
    sha256: createHash('sha256')
      .update(readFileSync(join(directory, name)))
      .digest('hex'),
  }));
  writeFileSync(join(directory, 'SHA256SUMS.txt'), formatSums(sums));
}

/** Lists what is there, gives the project back, and finds all sound. */
async function cora(args: readonly string[]): Promise<CoraEnd> {
  const said = (result: unknown, code = 0): CoraEnd => ({ code, stdout: JSON.stringify({ result }), stderr: '' });
  switch (args[0]) {
    case 'list': {
      const ids = [OLD, NEW].filter((id) => existsSync(backup(id)) || existsSync(save(id)));
      const rows = ids.map((id) => ({
        snapshot_id: id,
        kinds: [...(existsSync(save(id)) ? ['save'] : []), ...(existsSync(backup(id)) ? ['backup'] : [])],
      }));
      return said({ snapshots: lie.listed === undefined ? rows : rows.concat(lie.listed.map((id) => ({ snapshot_id: id, kinds: ['save'] }))) });
    }
    case 'restore': {
      const to = args[args.indexOf('--to') + 1] ?? '';
      await execute('cp', ['-a', places.project, to]);
      lie.restored?.(to);
      return said({});
    }
    case 'verify':
      return said({}, lie.verify ?? 0);
    default:
      if (lie.left !== undefined) mkdirSync(join(places.vault, lie.left), { recursive: true });
      return said({}, lie.next ?? 0);
  }
}

function alterWithSums(): void {
  writeFileSync(join(save(OLD), 'MANIFEST.txt'), 'x');
  sum(save(OLD));
}

function damagePack(): void {
  const packs = join(places.vault, 'progress/packs');
  mkdirSync(packs);
  writeFileSync(join(packs, 'pack'), 'x');
  sum(packs);
  writeFileSync(join(packs, 'pack'), 'y');
}

function rewrite(path: string, content: string): void {
  writeFileSync(path, content);
  utimesSync(path, 1, 1);
}

function replaceByCopy(directory: string, name: string): void {
  unlinkSync(join(directory, name));
  cpSync(join(directory, 'a.txt'), join(directory, name), { preserveTimestamps: true });
}

function leadElsewhere(directory: string): void {
  unlinkSync(join(directory, 'link'));
  symlinkSync('b.txt', join(directory, 'link'));
  lutimesSync(join(directory, 'link'), 1, 1);
}

const ended = (code: number | null, id?: string): CoraEnd => ({ code, stdout: JSON.stringify({ result: { snapshot_id: id } }), stderr: '' });

async function rules(expected: Partial<Expectation> = {}): Promise<string[]> {
  const violations = await judge(cora, places, { older: known, end: undefined, makes: null, ...expected });
  return [...new Set(violations.map(({ rule }) => rule))];
}

test('it has nothing to say of what is sound', async () => {
  expect(known).toHaveLength(2);
  expect(await rules({ projects: [recordProject(places.project)] })).toEqual([]);
  snapshot(save(NEW));
  const newTrees = known.map(({ tree }) => tree);
  expect(await rules({ end: ended(0, NEW), makes: 'save', newTrees })).toEqual([]);
});

test.each<[string, string, () => void]>([
  ['a snapshot that is listed and not there', 'half', () => (lie.listed = [NEW])],
  ['an older one that is gone', 'lost', () => rmSync(save(OLD), { recursive: true })],
  ['one that lacks a file of its sums', 'half', () => rmSync(join(backup(OLD), 'MANIFEST.txt'))],
  ['one with a file too many', 'half', () => writeFileSync(join(backup(OLD), 'more'), '')],
  [
    'one with other bytes of the same length',
    'half',
    () => writeFileSync(join(backup(OLD), 'MANIFEST.txt'), readFileSync(join(backup(OLD), 'MANIFEST.txt'), 'latin1').replace('1', '2')),
  ],
  ['one without sums', 'half', () => rmSync(join(save(OLD), 'SHA256SUMS.txt'))],
  ['an older one whose sums fit, and are others', 'damaged', alterWithSums],
  ['a new one that was never finished', 'half', () => mkdirSync(backup(NEW))],
  ['a new one without its manifest, which its sums do not miss', 'half', () => snapshot(save(NEW), 'MANIFEST.txt')],
  ['a new one without its report', 'half', () => snapshot(backup(NEW), 'REPORT.json')],
  ['a new one without a listing', 'half', () => snapshot(save(NEW), 'DELTA.tsv.zst')],
  ['a new one without its archive', 'half', () => snapshot(backup(NEW), 'name-full.tar.gz')],
  ['a pack that is not what its sums say', 'damaged', damagePack],
  ['a verify that finds damage', 'damaged', () => (lie.verify = 21)],
  ['a verify that was not done', 'damaged', () => (lie.verify = 11)],
  ['a next run that fails', 'next', () => (lie.next = 1)],
  ['a stage that is left', 'left', () => (lie.left = '.stage/run-abcdef')],
  ['a trash that is left', 'left', () => (lie.left = '.trash/save-x')],
])('it sees %s', async (_, rule, harm) => {
  harm();
  expect(await rules()).toContain(rule);
});

test.each<[string, (directory: string) => void]>([
  ['a file with other bytes of the same length', (at) => rewrite(join(at, 'a.txt'), 'abd')],
  ['a file that is cut', (at) => rewrite(join(at, 'a.txt'), 'ab')],
  ['a file with another mode', (at) => chmodSync(join(at, 'a.txt'), 0o755)],
  ['a file with another time', (at) => utimesSync(join(at, 'a.txt'), 2, 2)],
  ['a file that is missing', (at) => unlinkSync(join(at, 'a-too.txt'))],
  ['a file too many', (at) => writeFileSync(join(at, 'more'), '')],
  ['a hard link that is two files', (at) => replaceByCopy(at, 'a-too.txt')],
  ['an empty directory that is gone', (at) => rmdirSync(join(at, 'empty'))],
  ['a directory with another mode', (at) => chmodSync(join(at, 'empty'), 0o700)],
  ['a link that leads elsewhere', leadElsewhere],
  ['a link that became a file', (at) => replaceByCopy(at, 'link')],
])('it sees that a snapshot gives back %s', async (_, harm) => {
  lie.restored = harm;
  expect(await rules()).toEqual(['damaged']);
  snapshot(save(NEW));
  expect(await rules({ older: known, newTrees: known.map(({ tree }) => tree), end: ended(0, NEW), makes: 'save' })).toContain('damaged');
});

test('it sees a claim that is none, and a project that was touched', async () => {
  expect(await rules({ end: ended(0, NEW), makes: 'save' })).toEqual(['claim']);
  expect(await rules({ end: ended(3, NEW), makes: 'backup' })).toEqual(['claim']);
  expect(await rules({ end: ended(0), makes: 'save' })).toEqual(['claim']);
  // The save of an id is not its backup.
  snapshot(save(NEW));
  expect(await rules({ end: ended(0, NEW), makes: 'backup' })).toEqual(['claim']);
  expect(await rules({ end: ended(1), makes: 'backup' })).toEqual([]);
  const projects = [recordProject(places.project)];
  writeFileSync(join(places.project, 'a.txt'), 'abd');
  utimesSync(join(places.project, 'a.txt'), 1, 1);
  expect(await rules({ projects })).toContain('project');
});
