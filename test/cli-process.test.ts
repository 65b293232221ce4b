// What only a real process shows: signals, arguments that are not UTF-8, a reader that left, and
// what is loaded for `--version`.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const cliPath = join(import.meta.dirname, '..', 'src', 'cli.ts');
let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cora-cli-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A program that runs the command line with this engine (the body of an object literal). */
function programOf(name: string, engine: string): string {
  const path = join(directory, `${name}.mjs`);
  writeFileSync(
    path,
    `process.exitCode = 70;
const { main } = await import(${JSON.stringify(cliPath)});
process.exitCode = await main(process.argv.slice(2), {}, { engine: {
  findProject: async () => ({ root: '/srv/app', name: 'app', config: {}, warnings: [] }),
  locateVault: async () => ({ path: '/v' }),
  ${engine}
} });`,
  );
  return path;
}

type Ended = { readonly code: number | null; readonly signal: string | null; readonly stdout: string; readonly stderr: string; readonly ms: number };

function start(command: string, args: readonly string[], onLine?: (kill: (signal: NodeJS.Signals) => void) => void): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let signalledAt = 0;
    let seen = false;
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
      if (seen || !stderr.includes('working')) return;
      seen = true;
      onLine?.((signal) => {
        signalledAt = Date.now();
        child.kill(signal);
      });
    });
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr, ms: Date.now() - signalledAt }));
  });
}

const WAITS = `save: (project, location, options, ctx) => new Promise((resolve, reject) => {
  const timer = setInterval(() => {}, 1000);
  ctx.signal.addEventListener('abort', () => { clearInterval(timer); reject(ctx.signal.reason); });
  ctx.monitor.note('working');
}),`;

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends a run with 130 and one document', async (name) => {
  const run = await start(process.execPath, [programOf('waits', WAITS), 'save', '--json'], (kill) => kill(name));
  expect([run.code, run.signal]).toEqual([130, null]);
  expect(run.ms).toBeLessThan(2000);
  expect(JSON.parse(run.stdout)).toMatchObject({ ok: false, error: { code: 'interrupted', exit_code: 130 } });
  expect(run.stderr).toContain(`cora: Interrupted by ${name};`);
});

test('an action that does not listen is ended within five seconds', async () => {
  const deaf = `save: (project, location, options, ctx) => new Promise(() => { setInterval(() => {}, 1000); ctx.monitor.note('working'); }),`;
  const run = await start(process.execPath, [programOf('deaf', deaf), 'save'], (kill) => kill('SIGTERM'));
  expect(run.signal).toBe('SIGTERM');
  expect(run.ms).toBeLessThan(5000);
});

test('a second signal ends the process at once', async () => {
  const deaf = `save: (project, location, options, ctx) => new Promise(() => { setInterval(() => {}, 1000); ctx.monitor.note('working'); }),`;
  const run = await start(process.execPath, [programOf('deaf-twice', deaf), 'save'], (kill) => {
    kill('SIGINT');
    setTimeout(() => kill('SIGINT'), 200);
  });
  expect(run.signal).toBe('SIGINT');
  expect(run.ms).toBeLessThan(2000);
});

test('a path that is not UTF-8 arrives byte by byte', async () => {
  const program = programOf(
    'bytes',
    `planRestore: async (project, location, options) => { throw new Error(Buffer.from(options.paths[0], 'latin1').toString('hex')); },`,
  );
  const run = await start('sh', [
    '-c',
    `exec "$1" "$2" restore latest "$(printf 'f\\303\\274r\\377')" --to "$3"`,
    'sh',
    process.execPath,
    program,
    join(directory, 'out'),
  ]);
  expect(run.stderr).toContain('66c3bc72ff');
});

test('--version loads nothing but the entry', async () => {
  const probe = join(directory, 'version.mjs');
  writeFileSync(
    probe,
    `import { registerHooks } from 'node:module';
const loaded = [];
registerHooks({ resolve(name, context, next) { const found = next(name, context); loaded.push(found.url); return found; } });
const { main } = await import(${JSON.stringify(cliPath)});
await main(['--version'], {});
process.stderr.write(JSON.stringify(loaded.filter((url) => url.startsWith('file:')).map((url) => url.replace(/.*\\/src\\//, ''))));`,
  );
  const run = await start(process.execPath, [probe]);
  expect(run.stdout).toMatch(/^cora \S+\n$/);
  expect((JSON.parse(run.stderr) as string[]).toSorted()).toEqual(['base/bytes.ts', 'base/errors.ts', 'base/version.ts', 'cli.ts']);
});

test('help loads no library', async () => {
  const probe = join(directory, 'help.mjs');
  writeFileSync(
    probe,
    `import { registerHooks } from 'node:module';
const loaded = [];
registerHooks({ resolve(name, context, next) { const found = next(name, context); loaded.push(found.url); return found; } });
const { main } = await import(${JSON.stringify(cliPath)});
await main(['save', '--help'], {});
process.stderr.write(JSON.stringify(loaded.filter((url) => url.includes('/node_modules/') || /\\/(actions|store|vault\\/(?!state)|os\\/(?:run\\.|git|sqlite))/.test(url))));`,
  );
  expect((await start(process.execPath, [probe])).stderr).toBe('[]');
});
