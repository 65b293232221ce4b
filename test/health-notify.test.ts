// Word of a change of health: a command and a web hook are told of changes only, what was not delivered is tried again, and the
// address of a hook, which is a secret, is nowhere to be read. A real HTTP server on this machine's own address.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { execute, Sandbox, whyNotNobody } from './support/sandbox.ts';

const CANARY = 'secret-canary-8e3f';
const why = whyNotNobody();

type Call = { readonly method: string | undefined; readonly url: string | undefined; readonly body: Record<string, unknown> };

describe.skipIf(why !== undefined)(`notification of health${why === undefined ? '' : ` (${why})`}`, () => {
  const sandbox = new Sandbox({ nobody: true });
  const machineFile = join(sandbox.home, '.config/cora/project.toml');
  const letter = join(sandbox.home, 'told');
  const calls: Call[] = [];
  const said: string[] = [];
  let server: Server;
  let port = 0;
  let status = 204;

  const configure = (path: string, text: string) => {
    writeFileSync(path, text);
    sandbox.own(path);
  };
  const letters = () => (existsSync(letter) ? readFileSync(letter, 'utf8').split('== ').slice(1) : []);
  const health = async (...args: readonly string[]) => {
    const run = await sandbox.json(['health', ...args]);
    said.push(JSON.stringify(run));
    return run;
  };

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (part: string) => {
        body += part;
      });
      request.on('end', () => {
        calls.push({ method: request.method, url: request.url, body: JSON.parse(body) as Record<string, unknown> });
        response.writeHead(status, { location: `http://127.0.0.1:${port}/${CANARY}` }).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as { readonly port: number }).port;
    for (const path of [join(sandbox.home, '.config'), join(sandbox.home, '.config/cora')]) {
      mkdirSync(path);
      sandbox.own(path);
    }
    const hook = `http://user:${CANARY}@127.0.0.1:${port}/${CANARY}?key=${CANARY}`;
    const command = `{ printf '== %s\\n' "$CORA_HEALTH"; cat; } >> "$HOME/told"`;
    configure(machineFile, `[health]\nnotify = '''${command}'''\nwebhook = "${hook}"\n`);
    configure(join(sandbox.project, 'a.txt'), 'a');
    await sandbox.snapshot(['backup', 'now']);
  }, 60_000);

  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    await sandbox.remove();
  });

  test('a project that is well from the start is no news, and neither is a look without --notify', async () => {
    expect(await health('--notify')).toMatchObject({ code: 0, result: { health: 'ok', notified: { changed: false, told: [] } } });
    expect((await health('--max-age', '1ms')).code).toBe(22);
    expect({ calls, letters: letters() }).toEqual({ calls: [], letters: [] });
  });

  test('a change is told to both, once; and that all is well again', async () => {
    const bad = await health('--notify', '--max-age', '1ms');
    expect(bad.code).toBe(22);
    expect(calls).toMatchObject([
      {
        method: 'POST',
        url: `/${CANARY}?key=${CANARY}`,
        body: { schema: 1, test: false, project: 'project', health: 'critical', text: expect.stringContaining('is NOT protected') },
      },
    ]);
    expect(calls[0]?.body['checks']).toContainEqual(expect.objectContaining({ name: 'backup', level: 'critical', next: 'cora backup now' }));
    expect(letters()).toEqual([
      expect.stringMatching(/^critical\nCora: project on \S+ is NOT protected\n- critical: The newest good backup is from/),
    ]);

    await health('--notify', '--max-age', '1ms');
    expect({ calls: calls.length, letters: letters().length }).toEqual({ calls: 1, letters: 1 });

    expect((await health('--notify')).code).toBe(0);
    expect(calls.map(({ body }) => body['health'])).toEqual(['critical', 'ok']);
    expect(letters()[1]).toMatch(/^ok\nCora: project on \S+ is well\n$/);
    await health('--notify');
    expect({ calls: calls.length, letters: letters().length }).toEqual({ calls: 2, letters: 2 });
  });

  test('a vault whose disk is gone is told too, and again only when it is back', async () => {
    await execute('mv', [sandbox.vault, `${sandbox.vault}-away`]);
    mkdirSync(sandbox.vault);
    sandbox.own(sandbox.vault);
    try {
      const gone = await health('--notify');
      expect(gone.code).toBe(10);
      await health('--notify');
      expect(calls.map(({ body }) => body['health'])).toEqual(['critical', 'ok', 'critical']);
    } finally {
      rmSync(sandbox.vault, { recursive: true });
      await execute('mv', [`${sandbox.vault}-away`, sandbox.vault]);
    }
    await health('--notify');
    expect(calls.map(({ body }) => body['health'])).toEqual(['critical', 'ok', 'critical', 'ok']);
  });

  test('what could not be delivered is a problem, and is tried again, without telling the other twice', async () => {
    const [before, read] = [calls.length, letters().length];
    status = 500;
    const failed = await health('--notify', '--max-age', '1ms');
    expect(failed).toMatchObject({ code: 22, problems: [{ code: 'notify', message: expect.stringContaining(`127.0.0.1:${port} answered 500`) }] });
    status = 302;
    await health('--notify', '--max-age', '1ms');
    status = 204;
    await health('--notify', '--max-age', '1ms');
    await health('--notify', '--max-age', '1ms');
    expect({ calls: calls.length - before, letters: letters().length - read }).toEqual({ calls: 3, letters: 1 });
    expect((await health('--notify')).problems).toEqual([]);
  });

  test('--test-notify tells at once, says that it is a test, and whether it arrived', async () => {
    const before = calls.length;
    const sent = await sandbox.cora(['health', '--test-notify']);
    said.push(sent.stdout, sent.stderr);
    expect(sent).toMatchObject({ code: 0, stdout: expect.stringContaining('Test sent by command') });
    expect(calls.slice(before)).toMatchObject([{ body: { test: true, text: expect.stringContaining('A test. Cora: project on') } }]);
    // A test changes nothing of what is known.
    await health('--notify');
    expect(calls.length).toBe(before + 1);

    const here = readFileSync(machineFile, 'utf8');
    configure(machineFile, `[health]\nnotify = "echo no; exit 7"\nwebhook = "http://127.0.0.1:9/${CANARY}"\n`);
    const unsent = await health('--test-notify');
    expect(unsent).toMatchObject({
      code: 3,
      problems: [{ message: expect.stringContaining('ended with 7: no') }, { message: expect.stringContaining('refused') }],
    });
    configure(machineFile, '');
    expect(await health('--test-notify')).toMatchObject({ code: 2, error: { code: 'config_invalid' } });
    configure(machineFile, here);
  });

  test("what a repository's cora.toml wants to tell needs trust", async () => {
    const here = readFileSync(machineFile, 'utf8');
    const before = calls.length;
    configure(machineFile, '');
    configure(join(sandbox.project, 'cora.toml'), `[health]\nwebhook = "http://127.0.0.1:${port}/exfil"\nnotify = "touch told-by-clone"\n`);
    const run = await health('--test-notify');
    expect(run.code).toBe(3);
    expect(run.problems.map(({ message }) => message)).toEqual([expect.stringContaining('cora trust'), expect.stringContaining('cora trust')]);
    expect({ calls: calls.length, clone: existsSync(join(sandbox.project, 'told-by-clone')) }).toEqual({ calls: before, clone: false });
    rmSync(join(sandbox.project, 'cora.toml'));
    configure(machineFile, here);
  });

  test('the address of the hook is in no output, log, record or file of the vault', async () => {
    for (const args of [['trust', '--json'], ['health'], ['health', '--max-age', '1ms', '--notify', '-v']]) {
      const { stdout, stderr } = await sandbox.cora(args);
      said.push(stdout, stderr);
    }
    expect(said.filter((text) => text.includes(CANARY))).toEqual([]);
    const found = await execute('grep', ['-rlaF', CANARY, sandbox.root]);
    expect(found.stdout.trim().split('\n')).toEqual([machineFile]);
  });
});
