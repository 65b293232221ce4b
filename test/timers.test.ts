// `cora timers` without a running systemd: what is written, what systemd's own checks say of it, that
// install and remove meet in the middle, and lines for cron that run. The real thing: systemd.test.ts.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { problemsOf } from '../src/actions/timers-status.ts';
import { findProgram } from '../src/os/run.ts';
import type { UnitState } from '../src/os/systemctl.ts';
import { formatDropIn, forUserManager, parseDropIn } from '../src/os/systemd-unit.ts';
import { execute, isRoot, Sandbox, whyNotNobody } from './support/sandbox.ts';

const SHIPPED = join(import.meta.dirname, '..', 'systemd');
const analyze = findProgram('systemd-analyze');
const whyNoAnalyze = analyze === undefined ? ' (skipped: systemd-analyze is missing)' : '';
/** Every sign that systemd, a shell or cron reads in a way of its own. */
const ODD = `we ird %d "q" 'a' $HOME \\ é`;

const boxes: Sandbox[] = [];
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.remove();
});

function sandbox(options: { readonly nobody?: boolean } = {}): Sandbox & { units: string } {
  const box = new Sandbox(options);
  boxes.push(box);
  return Object.assign(box, { units: join(box.root, 'units') });
}

const filesIn = (directory: string) =>
  existsSync(directory)
    ? readdirSync(directory, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(service|timer|conf)$/.test(name))
        .sort()
    : [];

const contents = (directory: string) => new Map(filesIn(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]));

describe('the shipped units', () => {
  const services = readdirSync(SHIPPED).filter((name) => name.endsWith('.service'));

  test('a template is the plain unit but for its name', () => {
    const plain = readdirSync(SHIPPED).filter((name) => !name.includes('@'));
    expect(plain).toHaveLength(14);
    for (const name of plain) {
      const template = readFileSync(join(SHIPPED, name.replace('.', '@.')), 'utf8');
      const settings = (text: string) =>
        text
          .replace(/^#.*\n/gm, '')
          .replaceAll(' (%i)', '')
          .replaceAll('@%i.', '.')
          .replaceAll(/^User=.*$/gm, '');
      expect(settings(template), name).toBe(settings(readFileSync(join(SHIPPED, name), 'utf8')));
    }
  });

  test.skipIf(analyze === undefined)(`each service scores 3.0 or better in systemd-analyze security${whyNoAnalyze}`, async () => {
    expect(services).toHaveLength(14);
    const run = await execute(analyze!, ['security', '--offline=true', '--threshold=30', ...services], { cwd: SHIPPED });
    expect(run.code, run.stdout).toBe(0);
    const scores = [...run.stdout.matchAll(/exposure level for \S+: ([\d.]+)/g)].map(([, score]) => Number(score));
    expect(scores).toHaveLength(services.length);
    expect(Math.max(...scores)).toBeLessThanOrEqual(3);
  });

  test('no service has what Node cannot run with, and each takes an incomplete save for done', () => {
    for (const name of services) {
      const text = readFileSync(join(SHIPPED, name), 'utf8');
      expect(text).not.toMatch(/^MemoryDenyWriteExecute=/m);
      const looks = name.startsWith('cora-health');
      expect(text).toMatch(looks ? /^SuccessExitStatus=3 10 21 22$/m : /^SuccessExitStatus=3 75$/m);
      expect(text).toMatch(/^NoNewPrivileges=yes$/m);
      expect(/^CapabilityBoundingSet=.*CAP_LINUX_IMMUTABLE/m.test(text), name).toBe(!looks && !name.startsWith('cora-ship'));
    }
  });

  test('a user gets no setting that only the system can follow', () => {
    const text = forUserManager(readFileSync(join(SHIPPED, 'cora-save.service'), 'utf8'));
    expect(text).not.toMatch(/^(ProtectSystem|CapabilityBoundingSet|StateDirectory|PrivateNetwork)/m);
    expect(text).toMatch(/^ExecStart=/m);
    expect(text).toMatch(/^NoNewPrivileges=yes$/m);
  });
});

describe.skipIf(!isRoot)(`services of the system${isRoot ? '' : ' (skipped: not root)'}`, () => {
  test.skipIf(analyze === undefined)(`what is installed passes systemd-analyze verify, whatever the paths are called${whyNoAnalyze}`, async () => {
    const box = sandbox();
    const project = join(box.root, `project ${ODD}`);
    mkdirSync(project);
    const vault = join(box.root, `vault ${ODD}`);
    const made = await box.json(['timers', 'install', '--unit-dir', box.units], { cwd: project, env: { CORA_VAULT: vault } });
    expect(made).toMatchObject({
      code: 0,
      result: { scope: 'system', instance: null, started: false, timers: ['cora-save.timer', 'cora-backup.timer', 'cora-drill.timer'] },
    });
    await box.cora(['timers', 'install', '--unit-dir', box.units]);
    await box.cora(['timers', 'install', '--unit-dir', box.units, '--seal', 'daemon']);
    for (const user of ['root', '../x', 'nobody-of-this-name']) {
      expect((await box.json(['timers', 'install', '--unit-dir', box.units, '--seal', user])).code, user).toBe(2);
    }
    const units = readdirSync(box.units).filter((name) => /\.(service|timer)$/.test(name));
    const names = units.map((name) => name.replace('@.', '@project.'));
    expect(names).toHaveLength(14);
    // Drop-ins count: without them verify would miss the project and the launcher.
    const run = await execute(analyze!, ['verify', '--man=no', ...names.map((name) => `./${name}`)], { cwd: box.units });
    expect(run.stderr).not.toMatch(/cora-|Unknown|Failed to parse/);
    expect(run.code, run.stderr).toBe(0);
    expect(parseDropIn(readFileSync(join(box.units, 'cora-save.service.d/50-cora.conf'), 'utf8'))).toMatchObject({ project, vault });
  });

  test('where somebody is to be told of health, a timer looks each hour; it goes with the others, and cron has a line for it', async () => {
    const box = sandbox();
    writeFileSync(join(box.project, 'cora.toml'), '[health]\nwebhook = "https://hooks.example.org/x"\n');
    const { timers } = (await box.json(['timers', 'install', '--unit-dir', box.units])).result as { readonly timers: string[] };
    expect(timers).toContain('cora-health.timer');
    expect(filesIn(box.units)).toContain('cora-health.service.d/50-cora.conf');
    const { cron } = (await box.json(['timers', 'install', '--cron'])).result as { readonly cron: string[] };
    expect(cron).toContainEqual(expect.stringMatching(/^5 \* \* \* \* .* health --notify --quiet$/));
    writeFileSync(join(box.project, 'cora.toml'), '');
    await box.cora(['timers', 'remove', '--unit-dir', box.units]);
    expect(filesIn(box.units)).toEqual([]);
  });

  test('where a remote is configured, a timer ships each hour and after each backup, and may write a remote that is a directory', async () => {
    const box = sandbox();
    await box.cora(['timers', 'install', '--unit-dir', box.units]);
    expect(filesIn(box.units).join()).not.toContain('ship');
    const remote = join(box.root, `remote ${ODD.replaceAll(/["\\\\]/g, '')}`);
    writeFileSync(join(box.project, 'cora.toml'), `[offsite]\nremote = [${JSON.stringify(remote)}, "spaces:bucket", "~/other"]\n`);
    const status = await box.json(['timers', 'status', '--unit-dir', box.units]);
    expect(JSON.stringify(status.result['warnings'])).toContain('A remote is configured, and no timer ships to it');
    const { timers } = (await box.json(['timers', 'install', '--unit-dir', box.units])).result as { readonly timers: string[] };
    expect(timers).toEqual(['cora-save.timer', 'cora-backup.timer', 'cora-ship.timer', 'cora-drill.timer']);
    const units = contents(box.units);
    const dropIn = units.get('cora-ship.service.d/50-cora.conf') ?? '';
    const writable = [...dropIn.matchAll(/^ReadWritePaths="-(.*)"$/gm)].map(([, path]) => path);
    expect(writable).toContain(remote.replaceAll('%', '%%'));
    expect(writable).toContain(join(box.home, 'other'));
    expect(dropIn).toContain(`Environment="HOME=${box.home}"`);
    expect(units.get('cora-backup.service.d/50-cora.conf')).toMatch(/^\[Unit\]\nOnSuccess=cora-ship\.service$/m);
    expect(units.get('cora-save.service.d/50-cora.conf')).not.toContain('OnSuccess');
    if (analyze !== undefined) {
      const names = ['save', 'backup', 'ship'].flatMap((job) => [`./cora-${job}.service`, `./cora-${job}.timer`]);
      const run = await execute(analyze, ['verify', '--man=no', ...names], { cwd: box.units });
      expect(run.stderr).not.toMatch(/cora-|Unknown|Failed to parse/);
    }
    const { cron } = (await box.json(['timers', 'install', '--cron'])).result as { readonly cron: string[] };
    // Hourly mails about a remote that is down help nobody.
    expect(cron).toContainEqual(expect.stringMatching(/^20 \* \* \* \* .* ship --trigger timer --lock-wait 30m --quiet 2>\/dev\/null$/));
    writeFileSync(join(box.project, 'cora.toml'), '');
    await box.cora(['timers', 'remove', '--unit-dir', box.units]);
    expect(filesIn(box.units)).toEqual([]);
  });

  test("installing again changes nothing; removing leaves what is not Cora's", async () => {
    const box = sandbox();
    expect((await box.json(['timers', 'install', '--unit-dir', box.units])).result['files']).toHaveLength(9);
    const first = contents(box.units);
    mkdirSync(join(box.units, 'cora-save.timer.d'));
    writeFileSync(join(box.units, 'cora-save.timer.d/override.conf'), '[Timer]\nOnCalendar=\nOnCalendar=hourly\n');
    writeFileSync(join(box.units, 'cora-save.service.d/override.conf'), '[Service]\nNice=10\n');
    const again = await box.json(['timers', 'install', '--unit-dir', box.units]);
    expect((again.result['files'] as { change: string }[]).map(({ change }) => change)).toEqual(Array(9).fill('same'));
    for (const [name, text] of first) expect(readFileSync(join(box.units, name), 'utf8')).toBe(text);
    expect((await box.json(['timers', 'remove', '--unit-dir', box.units])).result['files']).toHaveLength(9);
    expect(filesIn(box.units)).toEqual(['cora-save.service.d/override.conf', 'cora-save.timer.d/override.conf']);
    expect((await box.json(['timers', 'remove', '--unit-dir', box.units])).result['files']).toEqual([]);
  });

  test('the first project has the plain names, further ones their own, also of the same name', async () => {
    const box = sandbox();
    const projects = ['project', 'a/app', 'b/app'].map((name) => join(box.root, name));
    const install = async (cwd: string) => {
      mkdirSync(cwd, { recursive: true });
      return (await box.json(['timers', 'install', '--unit-dir', box.units], { cwd, env: { CORA_VAULT: `${cwd}-vault` } })).result['instance'];
    };
    expect([await install(projects[0]!), await install(projects[1]!), await install(projects[2]!)]).toEqual([null, 'app', 'app-2']);
    expect(await install(projects[1]!)).toBe('app');
    await box.cora(['timers', 'remove', '--unit-dir', box.units], { cwd: projects[1]! });
    expect(filesIn(box.units)).toContain('cora-save@.service');
    expect(filesIn(box.units)).toContain('cora-save@app-2.service.d/50-cora.conf');
    expect(filesIn(box.units).some((name) => name.includes('@app.'))).toBe(false);
    await box.cora(['timers', 'remove', '--unit-dir', box.units], { cwd: projects[2]! });
    expect(filesIn(box.units).some((name) => name.includes('@'))).toBe(false);
    await box.cora(['timers', 'remove', '--unit-dir', box.units]);
    expect(filesIn(box.units)).toEqual([]);
  });

  test('after an upgrade --all points the timers of every project at the Cora that is called, and keeps all else', async () => {
    const box = sandbox();
    const second = join(box.root, 'second');
    mkdirSync(second);
    await box.cora(['timers', 'install', '--unit-dir', box.units]);
    await box.cora(['timers', 'install', '--unit-dir', box.units], { cwd: second, env: { CORA_VAULT: `${second}-vault` } });
    await box.cora(['timers', 'install', '--unit-dir', box.units, '--seal', 'daemon']);
    const before = contents(box.units);
    for (const [name, text] of before) {
      const old = text.replaceAll(join(SHIPPED, '..'), '/opt/cora/0.0.1').replace('Nice=19', 'Nice=5');
      writeFileSync(join(box.units, name), old);
    }
    const made = await box.json(['timers', 'install', '--all', '--unit-dir', box.units], { cwd: '/' });
    expect(made).toMatchObject({ code: 0 });
    expect(made.result['timers']).toHaveLength(7);
    expect(contents(box.units)).toEqual(before);
    const again = await box.json(['timers', 'install', '--all', '--unit-dir', box.units], { cwd: '/' });
    expect((again.result['files'] as { change: string }[]).every(({ change }) => change === 'same')).toBe(true);
    expect(await box.json(['timers', 'install', '--all', '--unit-dir', `${box.units}-none`], { cwd: '/' })).toMatchObject({
      code: 0,
      result: { files: [] },
    });
  });

  test('the vault is made first, and is all that the service may write beside the project and the logs', async () => {
    const box = sandbox();
    const vault = join(box.root, 'disk/vault');
    await box.cora(['timers', 'install', '--unit-dir', box.units, '--vault', vault]);
    expect(existsSync(join(vault, 'VAULT.json'))).toBe(true);
    const dropIn = readFileSync(join(box.units, 'cora-save.service.d/50-cora.conf'), 'utf8');
    expect([...dropIn.matchAll(/^ReadWritePaths="-(.*)"$/gm)].map(([, path]) => path)).toEqual([box.project, vault, box.root]);
  });

  test('--print shows everything and writes nothing', async () => {
    const box = sandbox();
    const run = await box.cora(['timers', 'install', '--print', '--unit-dir', box.units]);
    expect(run.code).toBe(0);
    expect(run.stdout).toContain(`# ${box.units}/cora-save.service.d/50-cora.conf`);
    expect(run.stdout).toContain(`ReadWritePaths="-${box.project}"`);
    expect(filesIn(box.units)).toEqual([]);
  });

  test('a unit of somebody else is not replaced', async () => {
    const box = sandbox();
    mkdirSync(box.units);
    writeFileSync(join(box.units, 'cora-save.service'), '[Service]\nExecStart=/bin/true\n');
    const run = await box.json(['timers', 'install', '--unit-dir', box.units]);
    expect(run).toMatchObject({ code: 20, error: { code: 'refused' } });
    expect(filesIn(box.units)).toEqual(['cora-save.service']);
    expect((await box.json(['timers', 'remove', '--unit-dir', box.units])).code).toBe(0);
    expect(filesIn(box.units)).toEqual(['cora-save.service']);
  });

  test('a program that somebody else can change is named before root runs it', async () => {
    const box = sandbox();
    const run = await box.json(['timers', 'install', '--unit-dir', box.units]);
    const unsafe = (await execute('find', [join(SHIPPED, '..', 'bin', 'cora'), '(', '!', '-user', '0', '-o', '-perm', '/022', ')'])).stdout !== '';
    expect(run.problems.some(({ message }) => message.includes('not root'))).toBe(unsafe);
  });

  test('status finds a missing program and a missing project', async () => {
    const box = sandbox();
    expect(await box.json(['timers', 'status', '--unit-dir', box.units])).toMatchObject({ code: 3, result: { installed: false } });
    await box.cora(['timers', 'install', '--unit-dir', box.units]);
    const dropIn = join(box.units, 'cora-save.service.d/50-cora.conf');
    writeFileSync(dropIn, readFileSync(dropIn, 'utf8').replace(/^Launcher=.*$/m, 'Launcher="/opt/gone/bin/cora"'));
    const status = await box.json(['timers', 'status', '--unit-dir', box.units]);
    expect(status).toMatchObject({ code: 3, result: { installed: true, launcher: '/opt/gone/bin/cora' } });
    expect(JSON.stringify(status.result['warnings'])).toContain('/opt/gone/bin/cora, which is not there any more');
  });
});

describe('what systemd tells', () => {
  const HOUR = 3_600_000;
  const now = Date.UTC(2026, 10, 21, 12);
  const timer: UnitState = {
    name: 'cora-save.timer',
    load: 'loaded',
    enabled: 'enabled',
    active: 'active',
    activeSince: now - 48 * HOUR,
    lastTrigger: now - HOUR / 10,
    nextTrigger: now + HOUR / 10,
    result: 'success',
    exitCode: undefined,
    lastEnd: undefined,
    dropIns: [],
  };
  const told = (changed: Partial<UnitState>) => problemsOf('save', { ...timer, ...changed }, undefined, false, now).map(({ message }) => message);

  test('a missed run is one that is two intervals late', () => {
    expect(told({})).toEqual([]);
    expect(told({ lastTrigger: now - HOUR })).toEqual(['cora-save.timer is late: its last time was 1 h ago']);
    expect(told({ lastTrigger: undefined })).toHaveLength(1);
    // After a boot systemd makes up for it by itself; and only the administrator knows an interval of their own.
    expect(told({ lastTrigger: now - HOUR, activeSince: now - HOUR / 60 })).toEqual([]);
    expect(told({ lastTrigger: now - HOUR, dropIns: ['/etc/systemd/system/cora-save.timer.d/override.conf'] })).toEqual([]);
  });

  test('a timer that is not armed is named', () => {
    expect(told({ enabled: 'disabled' })).toEqual(['cora-save.timer is disabled: it will not run after the next boot']);
    expect(told({ active: 'inactive', activeSince: undefined })).toEqual(['cora-save.timer is inactive: it will not run']);
    expect(told({ load: 'not-found' })).toEqual(['cora-save.timer is not loaded by systemd (not-found)']);
  });
});

const noNobody = isRoot ? whyNotNobody() : undefined;
test.skipIf(noNobody !== undefined)(
  `an ordinary user gets units of their own, and root is asked for the seal${noNobody === undefined ? '' : ` (skipped: ${noNobody})`}`,
  async () => {
    const box = sandbox({ nobody: true });
    const made = await box.json(['timers', 'install', '--unit-dir', box.units]);
    expect(made).toMatchObject({ code: 0, result: { scope: 'user' } });
    const units = contents(box.units);
    expect(units.get('cora-save.service')).not.toMatch(/^ProtectSystem/m);
    expect(units.get('cora-save.service.d/50-cora.conf')).not.toMatch(/ReadWritePaths/);
    expect(await box.json(['timers', 'install', '--seal', 'nobody', '--unit-dir', box.units])).toMatchObject({ code: 2, error: { code: 'usage' } });
  },
);

test('lines for cron save, back up and drill when sh runs them as cron does', async () => {
  const box = sandbox();
  const project = join(box.root, `project ${ODD}`);
  mkdirSync(project);
  writeFileSync(join(project, 'a.txt'), 'a');
  const vault = join(box.root, `vault ${ODD}`);
  const run = await box.cora(['timers', 'install', '--cron'], { cwd: project, env: { CORA_VAULT: vault } });
  expect(run.code).toBe(0);
  const lines = run.stdout.trim().split('\n');
  expect(lines).toHaveLength(3);
  for (const line of lines) {
    const match = /^(?:\S+ ){5}(.*)$/.exec(line);
    // crontab(5): an unescaped percent sign ends the command, and the backslash before one is dropped.
    expect(match?.[1]).not.toMatch(/(?<!\\)%/);
    const command = match![1]!.replaceAll('\\%', '%');
    const ran = await execute('/bin/sh', ['-c', command], { env: { PATH: '/usr/bin:/bin', HOME: box.home, SHELL: '/bin/sh' } });
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: '' });
  }
  const list = await box.json(['list'], { cwd: project, env: { CORA_VAULT: vault } });
  expect((list.result['snapshots'] as { kinds: string[] }[]).flatMap(({ kinds }) => kinds)).toContain('backup');
});

test('what no unit file and no crontab can hold is refused', async () => {
  const box = sandbox();
  const project = join(box.root, 'two\nlines');
  mkdirSync(project);
  for (const args of [['--cron'], ['--unit-dir', box.units]]) {
    expect(await box.json(['timers', 'install', ...args], { cwd: project })).toMatchObject({ code: 2, error: { code: 'project_refused' } });
  }
  expect(() =>
    formatDropIn({ unit: 'ExecStart=/x save\n', launcher: '/a "b"/bin/cora', project: '/p', environment: {}, writable: [], privateTmp: true }),
  ).toThrow('quotes');
  expect(basename(box.units)).toBe('units');
});
