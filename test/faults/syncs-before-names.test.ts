// Single steps that no whole command reaches at will, each under strace: what is written is synced before its name, or the
// file that it came from, is given up.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findProgram, requireProgram } from '../../src/os/run.ts';

const SOURCES = join(import.meta.dirname, '../../src');
const strace = findProgram('strace');

describe.skipIf(strace === undefined)('one step each (needs strace)', () => {
  const root = mkdtempSync(join(tmpdir(), 'cora-steps-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  /** What a piece of code does to files below `root`: `write one`, `fsync one`, `rename one two`, in order. */
  function callsOf(code: string): string[] {
    const trace = join(root, 'trace');
    const node = [process.execPath, '--input-type=module', '-e', code];
    execFileSync(requireProgram('strace', 'strace'), ['-f', '-y', '-qq', '-e', 'trace=write,fsync,rename', '-o', trace, ...node]);
    return readFileSync(trace, 'latin1')
      .split('\n')
      .flatMap((line) => {
        const [, call = '', rest = ''] = /^\d+ +(\w+)\((.*)/.exec(line) ?? [];
        const paths = [...rest.matchAll(/[<"](\/[^>"]*)[>"]/g)].map(([, path = '']) => path).filter((path) => path.startsWith(`${root}/`));
        return paths.length === 0 ? [] : [[call, ...paths.map((path) => path.slice(root.length + 1))].join(' ')];
      });
  }

  it('VAULT.json, when a vault is given to a project at another place', () => {
    const code = `import { moveProject } from ${JSON.stringify(join(SOURCES, 'vault/vault.ts'))};
      moveProject({ root: ${JSON.stringify(root)}, info: { vault_id: 'x', name: 'p', root: '/old' } }, '/new');`;
    expect(callsOf(code)).toEqual(['write VAULT.json.new', 'fsync VAULT.json.new', 'rename VAULT.json.new VAULT.json']);
    expect(JSON.parse(readFileSync(join(root, 'VAULT.json'), 'utf8'))).toMatchObject({ vault_id: 'x', root: '/new' });
  });

  it('lines that reach a log after its rotation, before it is told that they were moved', () => {
    const [old, live] = [join(root, 'old.log'), join(root, 'live.log')];
    writeFileSync(old, 'there before\nnew line\nhalf a li');
    writeFileSync(live, 'there before\n');
    const code = `import { openSync, writeSync } from 'node:fs';
      import { moveRest } from ${JSON.stringify(join(SOURCES, 'actions/rotate-drain.ts'))};
      const told = openSync(${JSON.stringify(join(root, 'told'))}, 'w');
      moveRest(openSync(${JSON.stringify(old)}, 'r'), ${JSON.stringify(live)}, 13, false, (end) => writeSync(told, String(end)));`;
    expect(callsOf(code)).toEqual(['write live.log', 'fsync live.log', 'write told']);
    expect([readFileSync(live, 'utf8'), readFileSync(join(root, 'told'), 'utf8')]).toEqual(['there before\nnew line\n', '22']);
  });
});
