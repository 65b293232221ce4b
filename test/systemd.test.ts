// Timers under a real systemd (test/support/container.ts): installed, fired, caught up after a boot, hardened and
// still able to do their work. The tests share one machine and run in their order.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../src/os/run.ts';
import { type Container, startContainer, waitFor } from './support/container.ts';

const repository = join(import.meta.dirname, '..');
const CORA = `'${join(repository, 'bin', 'cora')}'`;
const started = await startContainer();
const why = typeof started === 'string' ? started : undefined;
const FALLBACK = existsSync(join(repository, 'scripts', 'save.sh'));
const noRclone = findProgram('rclone') === undefined ? ' (skipped: rclone is missing)' : '';
/** What the shell takes as it stands, and systemd would not. */
const ODD = 'we ird %d "q" $HOME \\ é';
const quoted = (text: string) => `'${text}'`;

describe.skipIf(why !== undefined)(`a real systemd${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  const machine = started as Container;
  const cora = (args: string, directory = '/srv/cora-test') => machine.run(`cd ${quoted(directory)} && ${CORA} ${args}`);
  const result = async (args: string, directory?: string): Promise<Record<string, unknown>> => {
    const run = await cora(`${args} --json`, directory);
    return { code: run.code, ...(JSON.parse(run.stdout).result as Record<string, unknown>) };
  };
  const messages = (status: Record<string, unknown>) => JSON.stringify(status['warnings']);
  const journal = (unit: string) => machine.must(`journalctl --no-pager -o cat -u ${unit}`);
  const saves = async () => (await result('list --saves'))['total'] as number;
  const timer = (name: string, settings: string) =>
    machine.must(
      `mkdir -p /etc/systemd/system/${name}.d && printf '[Timer]\\n${settings}\\n' > /etc/systemd/system/${name}.d/test.conf && systemctl daemon-reload && systemctl restart ${name}`,
    );

  beforeAll(async () => {
    await machine.must(
      `useradd -m coratest && mkdir -p /srv/cora-test && chown coratest: /srv/cora-test && su coratest -c ${quoted(`
      cd /srv/cora-test && git init -q . && git config user.name a && git config user.email a@b && echo 1 > tracked && git add tracked && git commit -qm one
      echo secret > .env && chmod 600 .env && mkdir -m 700 private && echo 2 > private/notes
      sqlite3 idle.db "PRAGMA journal_mode=wal; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2);" >/dev/null && chmod 600 idle.db`)}`,
    );
  }, 60_000);
  afterAll(() => machine.remove(), 60_000);

  test('install arms the timers, and again changes nothing', async () => {
    expect(await result('timers install')).toMatchObject({ code: 0, scope: 'system', instance: null, started: true });
    expect((await result('timers install'))['files']).toMatchObject(Array(9).fill({ change: 'same' }));
    const status = await result('timers status');
    expect(status).toMatchObject({ code: 0, installed: true, warnings: [] });
    expect(status['timers']).toMatchObject([
      { job: 'save', timer: 'cora-save.timer', armed: true },
      { job: 'backup', timer: 'cora-backup.timer', armed: true },
      { job: 'drill', timer: 'cora-drill.timer', armed: true },
    ]);
    expect(await machine.must('systemctl show -p NextElapseUSecRealtime cora-backup.timer')).toMatch(/ 03:(1[5-9]|2\d):\d\d /);
  });

  test('the save timer fires, and the journal has it', async () => {
    await timer('cora-save.timer', 'OnCalendar=\\nOnCalendar=*:*:*\\nRandomizedDelaySec=0\\nAccuracySec=100ms');
    await waitFor('a save by the timer', async () => (await saves()) > 0, 20_000);
    await machine.must('rm -r /etc/systemd/system/cora-save.timer.d && systemctl daemon-reload && systemctl restart cora-save.timer');
    await waitFor('the end of the run', async () => (await machine.run('systemctl is-active cora-save.service')).stdout.trim() === 'inactive');
    expect(await journal('cora-save.service')).toMatch(
      /level=info command="save" trigger="timer" project="\/srv\/cora-test" vault="\/var\/backups\/cora-test" id="\S+" exit=0/,
    );
    expect(await machine.must('cat /var/log/cora-backup.log')).toContain('trigger="timer"');
    const [save] = (await result('timers status'))['timers'] as { last_trigger: string | null; last_result: string | null }[];
    expect(save).toMatchObject({ last_result: 'success', last_trigger: expect.stringMatching(/^20/) });
  });

  test('the daily backup holds an idle WAL database of another owner, unpushed work and private files, and is sealed', async () => {
    const before = await machine.must('cd /srv/cora-test && stat -c "%n %U %a %Y" * .env && ls -A');
    await machine.must('systemctl start cora-backup.service');
    const [backup] = (await result('backup list'))['snapshots'] as { path: string; status: string }[];
    expect(backup?.status).toBe('complete');
    const path = backup?.path ?? '';
    expect(await machine.must(`lsattr -d ${path} ${path}/MANIFEST.txt`)).toMatch(/^-{4}i\S* .*\n-{4}i/);
    expect(await machine.must(`sqlite3 ${path}/db/idle.db 'SELECT sum(a) FROM t'; cat ${path}/critical/.env`)).toBe('3\nsecret\n');
    expect(await machine.must(`git bundle list-heads ${path}/git/cora-test.bundle`)).toContain('refs/heads/');
    expect(await machine.must(`tar -tzf ${path}/cora-test-full.tar.gz`)).toContain('private/notes');
    expect((await machine.run(`rm -rf ${path}`)).code).toBe(1);
    expect(await machine.must('cd /srv/cora-test && stat -c "%n %U %a %Y" * .env && ls -A')).toBe(before);
    expect(await machine.must(`su coratest -c 'cd /srv/cora-test && sqlite3 idle.db "INSERT INTO t VALUES (3); SELECT sum(a) FROM t"'`)).toBe('6\n');
  });

  test("a drill under the limits of its own service restores another owner's files, setuid ones too, with restore.sh as well", async () => {
    await machine.must(
      'cd /srv/cora-test && cp /bin/true suid && chmod 4755 suid && systemctl start cora-backup.service && systemctl start cora-drill.service',
    );
    expect(await journal('cora-drill.service')).toMatch(/level=info command="drill" trigger="timer" .* exit=0/);
    const [, last] = (await machine.must('grep " drill " /var/backups/cora-test/ledger/chain.log')).trim().match(/ (\S+)$/) ?? [];
    expect(last).toMatch(/^backup,ok,[\d.]+,all,-,met$/);
    await machine.must('rm /srv/cora-test/suid');
  });

  test('a save that meets a running backup waits for it', async () => {
    const slow = '/etc/systemd/system/cora-backup.service.d/test.conf';
    await machine.must(
      `printf '[Service]\\nExecStartPre=sleep 2\\n' > ${slow} && systemctl daemon-reload && systemctl start --no-block cora-backup.service`,
    );
    await machine.must('systemctl start cora-save.service && systemctl is-active cora-backup.service | grep -qx inactive');
    await machine.must(`rm ${slow} && systemctl daemon-reload`);
  });

  test('a second project, whatever its paths are called, has units of its own', async () => {
    const [directory, vault] = [`/srv/${ODD}`, `/srv/vault ${ODD}`];
    await machine.must(`mkdir ${quoted(directory)} && echo 1 > ${quoted(`${directory}/a`)}`);
    const made = await result(`timers install --vault ${quoted(vault)}`, directory);
    expect(made).toMatchObject({ code: 0, started: true });
    const instance = String(made['instance']);
    await machine.must(`systemctl start ${quoted(`cora-save@${instance}.service`)} ${quoted(`cora-backup@${instance}.service`)}`);
    const listed = (await result(`list --vault ${quoted(vault)}`, directory))['snapshots'] as { kinds: string[] }[];
    expect(new Set(listed.flatMap(({ kinds }) => kinds))).toEqual(new Set(['save', 'backup']));
    expect((await result('timers remove', directory))['files']).toHaveLength(9);
    expect(await machine.must('ls /etc/systemd/system')).not.toContain('@');
  });

  test.each(['/root/project', '/home/coratest/project', '/tmp/project', '/var/tmp/project'])(
    'a project at %s is saved by the hardened service',
    async (directory) => {
      const vault = `${directory}-vault`;
      await machine.must(`mkdir ${directory} && echo 1 > ${directory}/a`);
      const instance = String((await result(`timers install --vault ${vault}`, directory))['instance']);
      await machine.must(`systemctl start cora-save@${instance}.service`);
      expect((await result(`list --vault ${vault}`, directory))['total']).toBe(1);
      // The disk of a vault that was named is away: no new vault begins in its place.
      await machine.must(`mv ${vault} ${vault}-away`);
      expect((await machine.run(`systemctl start cora-save@${instance}.service`)).code).not.toBe(0);
      expect((await machine.run(`ls -d ${vault}`)).code).not.toBe(0);
      await cora(`timers remove --vault ${vault}-away`, directory);
    },
  );

  test("a user's own timers run after linger, and cora-seal makes their backups immutable", async () => {
    const su = (command: string) => `su coratest -c ${quoted(`cd && mkdir -p proj && cd proj && ${command}`)}`;
    const launcher = CORA.slice(1, -1);
    await machine.must(su('echo 1 > a'));
    const first = await machine.run(su(`${launcher} timers install`));
    expect(first.stderr).toContain('loginctl enable-linger coratest');
    await machine.must('loginctl enable-linger coratest');
    await waitFor(
      "coratest's manager",
      async () => (await machine.run(su('XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user is-system-running'))).code === 0,
    );
    const again = JSON.parse(await machine.must(su(`${launcher} timers install --json`)));
    expect(again.result).toMatchObject({ scope: 'user', started: true });
    await machine.must(su('XDG_RUNTIME_DIR=/run/user/$(id -u) systemctl --user start cora-backup.service'));
    const status = JSON.parse(await machine.must(su(`${launcher} timers status --json`)));
    expect(status.result).toMatchObject({
      installed: true,
      warnings: [],
      timers: [{ armed: true }, { armed: true, last_result: 'success' }, { armed: true }],
    });

    expect(await result('timers install --seal coratest')).toMatchObject({ code: 0, started: true, timers: ['cora-seal.timer'] });
    await machine.must('systemctl start cora-seal.service');
    expect(await journal('cora-seal.service')).toContain(': sealed');
    expect(await machine.must('lsattr -d /home/coratest/.local/state/cora/proj/2*')).toMatch(/^-{4}i/);
    expect((await machine.run(su('rm -rf ~/.local/state/cora/proj/2*'))).code).toBe(1);
    expect(await machine.must('stat -c %U /home/coratest/.local/state/cora/proj/ledger/*')).toMatch(/^(coratest\n)+$/);
    expect((await result('timers remove --seal coratest'))['files']).toHaveLength(3);
  });

  test('cora serve is started by the first connection, saves, backs up and restores within the limits of its unit, and goes again', async () => {
    expect(await result('serve --install --port 4711')).toMatchObject({ code: 0, timers: ['cora-serve.socket'], listen: '127.0.0.1:4711' });
    const active = async (unit: string) => (await machine.run(`systemctl is-active ${unit}`)).stdout.trim();
    expect([await active('cora-serve.socket'), await active('cora-serve.service')]).toEqual(['active', 'inactive']);
    // No curl on some machines.
    const client = `import json, sys, urllib.request, urllib.error
token = open('/var/backups/cora-test/ledger/http-token').read().strip()
def ask(path, body=None, auth=token):
    data = None if body is None else json.dumps(body).encode()
    headers = {'Authorization': 'Bearer ' + auth, 'Content-Type': 'application/json'}
    try:
        return json.load(urllib.request.urlopen(urllib.request.Request('http://127.0.0.1:4711' + path, data, headers)))
    except urllib.error.HTTPError as error:
        return json.load(error)
print(json.dumps(eval(sys.stdin.read())))`;
    const ask = async (expression: string): Promise<Record<string, unknown>> => {
      const text = await machine.must(`printf %s ${quoted(expression)} | python3 -c ${quoted(client.replaceAll("'", `'"'"'`))}`);
      return JSON.parse(text) as Record<string, unknown>;
    };
    expect(await ask('ask("/api/v1/health", None, "x")')).toMatchObject({ status: 401, code: 'http_unauthorized' });
    expect(await active('cora-serve.service')).toBe('active');
    expect(await ask('ask("/api/v1/health")')).toMatchObject({ project: 'cora-test', root: '/srv/cora-test' });
    expect(await ask('ask("/admin/backup", {})')).toMatchObject({ validated: true, validation_errors: [] });
    await machine.must('cd /srv/cora-test && cp tracked /root/before && echo spoilt > tracked');
    expect(
      await ask('ask("/api/v1/restore/apply", {"token": ask("/api/v1/restore/plan", {"paths": ["tracked"]})["token"], "confirm": "restore"})'),
    ).toMatchObject({
      complete: true,
      in_place: true,
    });
    await machine.must('cmp /root/before /srv/cora-test/tracked');
    expect(await machine.must('stat -c %U /srv/cora-test/tracked')).toBe('coratest\n');
    await machine.must('systemctl stop cora-serve.service');
    expect(await machine.must('systemctl show -p Result --value cora-serve.service')).toBe('success\n');
    expect(await ask('ask("/api/v1/status")')).toMatchObject({ project: { name: 'cora-test' } });
    expect(await result('serve --remove')).toMatchObject({ code: 0 });
    expect(await active('cora-serve.socket')).toBe('inactive');
    expect(await machine.must('ls /etc/systemd/system')).not.toContain('cora-serve');
  });

  test('status finds a disabled timer and a failed run', async () => {
    await machine.must('systemctl disable --now cora-backup.timer');
    const disabled = await result('timers status');
    expect(disabled['code']).toBe(3);
    expect(messages(disabled)).toContain('cora-backup.timer is inactive: it will not run');
    expect(await result('timers install')).toMatchObject({ code: 0, started: true });

    await machine.must('mv /var/backups/cora-test /var/backups/away');
    expect((await machine.run('systemctl start cora-save.service')).code).not.toBe(0);
    expect(await machine.must('ls /var/backups')).not.toContain('cora-test');
    await machine.must('mv /var/backups/away /var/backups/cora-test');
    expect(messages(await result('timers status'))).toContain('The last run of cora-save.service failed (exit-code, exit code 10)');
    await machine.must('systemctl start cora-save.service');
    expect(await result('timers status')).toMatchObject({ code: 0, warnings: [] });
  });

  test("the system's own Node is of no matter", async () => {
    await machine.must('rm -f $(which -a node)');
    expect((await machine.run('command -v node')).code).not.toBe(0);
    await machine.must('echo 2 >> /srv/cora-test/tracked && systemctl start cora-save.service');
    expect(await machine.must('systemctl show -p Result --value cora-save.service')).toBe('success\n');
  });

  test.skipIf(!FALLBACK)(
    `without node_modules the service leaves a fallback checkpoint${FALLBACK ? '' : ' (skipped: scripts/save.sh is missing)'}`,
    async () => {
      const before = await machine.must("find /var/backups/cora-test/progress -name '*.tar*' | wc -l");
      await machine.must(`echo 3 >> /srv/cora-test/tracked && mount -t tmpfs none ${quoted(join(repository, 'node_modules'))}`);
      await machine.must('systemctl start cora-save.service');
      await machine.must(`umount ${quoted(join(repository, 'node_modules'))}`);
      expect(Number(await machine.must("find /var/backups/cora-test/progress -name '*.tar*' | wc -l"))).toBeGreaterThan(Number(before));
      expect(await journal('cora-save.service')).toContain('ithout the engine');
    },
  );

  test('a run that was missed while the machine was off is made up for at the next boot, once', async () => {
    const count = async () => ((await result('backup list'))['snapshots'] as unknown[]).length;
    const before = await count();
    await timer('cora-backup.timer', 'RandomizedDelaySec=0');
    await machine.must("touch -d '2 days ago' /var/lib/systemd/timers/stamp-cora-backup.timer");
    await machine.powerOff();
    await machine.boot();
    await waitFor('the missed backup', async () => (await count()) > before);
    await waitFor('its end', async () => (await machine.run('systemctl is-active cora-backup.service')).stdout.trim() === 'inactive');
    expect(await count()).toBe(before + 1);
    expect(await machine.must('journalctl -b --no-pager -o cat -u cora-backup.service')).toContain('trigger="timer"');
    expect(await result('timers status')).toMatchObject({ code: 0, warnings: [] });
  });

  test('a change of health is told by the command, within the limits of its own service', async () => {
    await machine.must('mkdir -p /etc/cora && printf \'[health]\\nmax_age = "1ms"\\nnotify = "cat > /var/lib/told"\\n\' > /etc/cora/cora-test.toml');
    expect((await result('timers install'))['timers']).toContain('cora-health.timer');
    await machine.must('systemctl start cora-health.service');
    expect(await machine.must('cat /var/lib/told')).toMatch(/^Cora: cora-test on \S+ is NOT protected\n- critical: The newest good backup is from /);
    // Nothing changed: nobody is told again.
    await machine.must('rm /var/lib/told && systemctl start cora-health.service');
    expect((await machine.run('ls /var/lib/told')).code).not.toBe(0);
    expect(await machine.must('systemctl show -p Result --value cora-health.service')).toBe('success\n');
    const status = await result('timers status');
    expect(status['timers']).toContainEqual(expect.objectContaining({ job: 'health', armed: true, last_result: 'success' }));
    await machine.must(
      'rm -r /etc/cora && systemctl disable --now cora-health.timer && systemctl clean --what=state cora-health.timer && rm -r /etc/systemd/system/cora-health* && systemctl daemon-reload',
    );
  });

  test.skipIf(noRclone !== '')(
    `a backup is followed by its copy off-site, within the limits of the service; a remote that fails is seen${noRclone}`,
    async () => {
      await machine.must(
        'mkdir -p /etc/cora /srv/other-disk && printf \'[offsite]\\nremote = "/srv/other-disk"\\nallow_plaintext = true\\n\' > /etc/cora/cora-test.toml',
      );
      expect((await result('timers install'))['timers']).toContain('cora-ship.timer');
      await machine.must('systemctl start cora-backup.service');
      await waitFor('the copy', async () => (await machine.run('ls /srv/other-disk/cora-test/2*/*/COMPLETE.json')).code === 0, 60_000);
      await waitFor('its end', async () => (await machine.run('systemctl is-active cora-ship.service')).stdout.trim() === 'inactive');
      expect(await journal('cora-ship.service')).toMatch(/level=info command="ship" trigger="timer" .* exit=0/);
      expect(await machine.must('systemctl show -p Result --value cora-ship.service')).toBe('success\n');
      expect((await result('status'))['offsite']).toMatchObject([{ remote: '/srv/other-disk', unshipped: 0, error: null }]);

      await machine.must('mv /srv/other-disk /srv/away');
      expect((await machine.run('systemctl start cora-ship.service')).code).not.toBe(0);
      expect(messages(await result('timers status'))).toContain('The last run of cora-ship.service failed (exit-code, exit code 12)');
      expect(await journal('cora-ship.service')).toContain('/srv/other-disk is not there');
      await machine.must('mv /srv/away /srv/other-disk && systemctl start cora-ship.service');
      expect((await result('timers status'))['timers']).toContainEqual(expect.objectContaining({ job: 'ship', armed: true, last_result: 'success' }));
      await machine.must(
        'rm -r /etc/cora && systemctl disable --now cora-ship.timer && systemctl clean --what=state cora-ship.timer && rm -r /etc/systemd/system/cora-ship* && systemctl daemon-reload',
      );
      expect((await result('timers install'))['code']).toBe(0);
    },
  );

  test('remove stops everything and leaves the vault', async () => {
    await machine.must('rm -r /etc/systemd/system/cora-backup.timer.d');
    expect((await result('timers remove'))['files']).toHaveLength(9);
    expect(await machine.must('systemctl list-units --all --no-legend "cora-*"; ls /etc/systemd/system /var/lib/systemd/timers')).not.toContain(
      'cora-',
    );
    expect(await saves()).toBeGreaterThan(0);
    expect(await result('timers status')).toMatchObject({ code: 3, installed: false, cron: false });
    // From here on cron does it, and status believes its table, not the runs of before.
    const [line] = (await machine.must(`cd /srv/cora-test && ${CORA} timers install --cron`)).split('\n');
    await machine.must(`echo ${quoted((line ?? '').replace(' cd ', ' root cd '))} > /etc/cron.d/cora`);
    expect(await result('timers status')).toMatchObject({ code: 0, installed: false, cron: true });
  });

  test('init arms timers that find the vault that was named, and its undo takes everything away but the vault', async () => {
    const [project, vault] = ['/srv/cora-init', '/srv/elsewhere'];
    await machine.must(`mkdir ${project} && cd ${project} && echo 1 > a && sqlite3 n.db 'create table t(a); insert into t values (1)'`);
    const made = await result(`init --yes --no-agents --vault ${vault}`, project);
    expect(made).toMatchObject({ code: 0, timers: { started: true }, restore_test: { file: 'a', database: 'n.db', rows: 1 } });
    expect(await machine.must('cat /etc/cora/cora-init.toml')).toContain(`vault = "${vault}"`);
    expect(await result(`init --yes --no-agents --vault ${vault}`, project)).toMatchObject({ code: 0, save: { outcome: 'unchanged' } });
    expect(await result('timers status', project)).toMatchObject({ code: 0, installed: true, warnings: [] });
    await machine.must(`echo 2 > ${project}/b && systemctl start cora-save.service`);
    expect(await result('list', project)).toMatchObject({ total: 2 });
    expect(await result('init --undo --yes', project)).toMatchObject({ code: 0, kept: [], vault });
    expect(await machine.must(`cd ${project} && ls . /etc /etc/systemd/system`)).not.toMatch(/cora/);
    expect(await result('list', project)).toMatchObject({ total: 2 });
  });
});
