// A copy of the tree in which every point can be switched to its mutant without a new build: each becomes
// `(__mutant(N) ? INSTEAD : ORIGINAL)`, and the number that is on is the content of the file MUTANT at the copy's top. A
// file, and no variable, because Cora's children and the tests' sandboxes start with an environment from nothing.

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { listPoints } from './points.mjs';

/** Asked at every point. With a file HITS/on it also notes who came by: which tests can catch which mutant. */
const SWITCH = `
import { accessSync, appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
const text = (path) => { try { return readFileSync(path, 'utf8'); } catch { return ''; } };
const TOP = join(import.meta.dirname, '..');
const on = Number(text(join(TOP, 'MUTANT')) || -1);
const noting = existsSync(join(TOP, 'HITS/on'));
const started = noting ? text(join(TOP, 'HITS/test')) : '';
const noted = new Set();
export function __mutant(point) {
  if (noting) {
    const test = globalThis.__coraTest ?? started;
    const key = test + ' ' + point;
    if (!noted.has(key)) { noted.add(key); appendFileSync(join(TOP, 'HITS/hits'), key + '\\n'); }
  }
  return point === on;
}
const marking = existsSync(join(TOP, 'MARKS'));
const mark = (name) => { try { accessSync('/cora-mark/' + name); } catch {} };
/** With a file MARKS: what a sync does is between two marks, which strace sees. */
export function __marked(point, use) {
  if (!marking) return use();
  mark('begin-' + point);
  try { return use(); } finally { mark('end-' + point); }
}
/** The same for replaceFile, which syncs twice where it is told to. */
export function __markedFlag(point) {
  if (marking) mark('flag-' + point);
  return true;
}
`;

/**
 * @param {string} root of the tree; what is in its index and changed in its work tree is copied
 * @returns {{ root: string, points: import('./points.mjs').Point[], choose: (point: number) => void, remove: () => void }}
 */
export function makeTree(root) {
  const copy = mkdtempSync(join(tmpdir(), 'cora-mutants-'));
  // Some tests run Cora as the user nobody.
  chmodSync(copy, 0o755);
  const files = execFileSync('git', ['-C', root, 'ls-files', '-z', '-c', '-o', '--exclude-standard'], { encoding: 'utf8' }).split('\0');
  for (const file of new Set(files.filter((name) => name !== ''))) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(root, file), join(copy, file), { verbatimSymlinks: true, force: true });
  }
  writeFileSync(join(copy, 'FILES'), [...new Set(files)].sort().join('\n'));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  // Of the copy: somebody may be at work in the tree.
  const points = listPoints(copy);
  writeFileSync(join(copy, 'src/mutant.ts'), `// @ts-nocheck\n${SWITCH}`);
  instrument(copy, points);
  writeFileSync(join(copy, 'MUTANT'), '');
  writeFileSync(join(copy, 'vitest.mutants.config.ts'), CONFIG);
  execFileSync(process.execPath, [join(copy, 'scripts/build.mjs')], { stdio: ['ignore', 'ignore', 'inherit'] });
  return {
    root: copy,
    points,
    choose: (point) => writeFileSync(join(copy, 'MUTANT'), point < 0 ? '' : String(point)),
    remove: () => {
      spawnSync('chattr', ['-R', '-f', '-ia', copy], { stdio: 'ignore' });
      // A child that a killed test left behind may still write there.
      rmSync(copy, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
    },
  };
}

function instrument(copy, points) {
  const byFile = Map.groupBy(
    points.map((point, number) => ({ ...point, number })),
    ({ file }) => file,
  );
  for (const [file, list] of byFile) {
    let text = readFileSync(join(copy, file), 'utf8');
    // Points may lie in one another: all edits are insertions, from the end of the file to its beginning.
    const edits = list.flatMap(({ kind, text: said, start, end, number, instead }) => {
      const marked =
        kind !== 'sync'
          ? ['', '']
          : said === 'true'
            ? [`__markedFlag(${number}) && `, '']
            : said.endsWith(')')
              ? [`__marked(${number}, () => `, ')']
              : ['', ''];
      const handed = kind === 'sync' && marked[0] === '' ? [`((...given) => __marked(${number}, () => `, '(...given)))'] : marked;
      return [
        { at: start, order: -end, insert: `(__mutant(${number}) ? ${instead} : ${handed[0]}` },
        { at: end, order: Number.MAX_SAFE_INTEGER - start, insert: `${handed[1]})` },
      ];
    });
    // At one place what ends comes before what begins, the inner end first, the outer beginning first.
    edits.sort((a, b) => a.at - b.at || closes(b) - closes(a) || a.order - b.order);
    for (const { at, insert } of edits.toReversed()) text = text.slice(0, at) + insert + text.slice(at);
    const up = '../'.repeat(file.split('/').length - 2) || './';
    writeFileSync(join(copy, file), `${text}\nimport { __marked, __markedFlag, __mutant } from '${up}mutant.ts';\n`);
  }
}

const closes = ({ insert }) => (insert.startsWith('(__mutant') ? 0 : 1);

/** One worker, one try, no build of its own, and the name of the test at work where the switch can read it. */
const CONFIG = `
import base from './vitest.config.ts';
export default {
  ...base,
  test: {
    ...base.test,
    include: ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    maxWorkers: 1,
    retry: 0,
    globalSetup: [],
    reporters: ['json'],
    testTimeout: Number(process.env['MUTANT_TIMEOUT'] ?? 60_000),
    setupFiles: ['test/faults/mutants/name-test.mjs', ...base.test.setupFiles],
  },
};
`;
