// cora.toml: keys, defaults, merging, and that a slip is an error with the nearest key.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { defaultConfig, mergeConfig, parseConfig, withoutPrivilegedKeys } from '../src/base/config.ts';
import { CONFIG_KEYS } from '../src/base/config-file.ts';
import { CoraError } from '../src/base/errors.ts';

async function failure(text: string): Promise<string> {
  try {
    await parseConfig(text, 'cora.toml');
  } catch (error) {
    if (error instanceof CoraError) return `${error.code}: ${error.message}. ${error.hint ?? ''}`;
    throw error;
  }
  return 'no error';
}

test('no configuration is the defaults', async () => {
  expect(mergeConfig()).toEqual(defaultConfig);
  expect(mergeConfig(await parseConfig('# nothing\n', 'cora.toml'))).toEqual(defaultConfig);
});

const asked = (name: string, key: string, run: string) => ({ from: 'cora.toml', key: `artefacts.${name}.${key}`, run });
const artefact = (name: string, kind: string) => ({
  ...{ name, kind, path: undefined, optional: false, lock: undefined, lockCommand: undefined, unlockCommand: undefined, lockWait: 10_000 },
  ...{ command: undefined, restore: undefined, minSize: 1, timeout: 3_600_000 },
});

test('every key is read', async () => {
  const text = `\uFEFF
name = "app"
vault = "~/v"
logs = ["*.out"]
log_cap = "1MB"
large_file = 5
db_plain_max = "1GiB"
seal = "off"
[scan]
exclude = ["/tmp/"]
exclude_defaults = false
one_file_system = false
[critical]
patterns = ["NOTES.md"]
append_only = ["LOG.md"]
[databases]
timeout = "2s"
[backup]
min_age = "1d"
[rotate]
patterns = ["*.md"]
max_size = "2MB"
max_lines = 9
[restore]
stop = "systemctl stop app"
start = ["systemctl", "start", "app"]
command_timeout = "5m"
[[artefacts]]
name = "app"
kind = "command"
command = "pg_dump app"
restore = "psql app"
min_size = "1kB"
timeout = "2h"
[[artefacts]]
name = "store"
kind = "directory"
path = "./data//store/"
optional = true
lock_command = "stop"
unlock_command = "go"
lock_wait = "2s"
[[artefacts]]
name = "other"
kind = "directory"
path = "other"
lock = "other/lock"
[drill]
rto = "5m"
rpo = "2h"

[[checks]]
name = "rows"
command = "true"
[[checks]]
name = "answers"
url = "http://127.0.0.1:8080/"
method = "PUT"
headers = { accept = "text/plain" }
body = "x"
status = 204
json = { path = "a.b", at_least = 3 }
timeout = "2s"
retries = 9
wait = "3s"
[health]
max_age = "26h"
min_free = "2GB"
max_wal = 7
drill_every = "31d"
notify = ["mail", "admin"]
webhook = "https://hooks.example.org/x"
[retention]
auto = true
saves = "all"
backups = { daily = 3, within = "2d", preset = "atocore" }
week_starts = "sunday"
max_size = "5GB"
[offsite]
remote = "spaces:cora-backups"
env = "prod"
recipients = ["age1qyqszqgpqyqszqgpqyqszqgpqyqszqgp"]
allow_plaintext = true
bwlimit = "2M"
timeout = "30s"
saves = true
after_backup = false
lock = "30d"
retention = "all"

[phrases]
save = ["my save"]
backup = ["my backup"]
verify = ["my verify"]
list = ["my list"]
size = ["my size"]
last = ["my last"]
health = ["my health"]
lost = ["my lost"]

[hook]
enabled = false
warn_size = "1MB"
block_size = "off"
budget = "5s"
on_failure = "block"
skip_branches = ["wip/*"]
`;
  // What a repository's file may not choose.
  const keys = '[offsite]\ncredentials = "/etc/cora/backup.env"\nrclone_config = "~/r.conf"\n';
  expect(mergeConfig(await parseConfig(text, 'cora.toml'), await parseConfig(keys, '/etc/cora/app.toml'))).toEqual({
    name: 'app',
    vault: '~/v',
    logs: ['*.out'],
    logCap: 1_000_000,
    largeFile: 5,
    dbPlainMax: 1024 ** 3,
    scan: { exclude: ['/tmp/'], excludeDefaults: false, oneFileSystem: false },
    critical: { patterns: ['NOTES.md'], appendOnly: ['LOG.md'] },
    seal: 'off',
    databases: { timeout: 2000 },
    backup: { minAge: 86_400_000 },
    rotate: { patterns: ['*.md'], maxSize: 2_000_000, maxLines: 9 },
    drill: { rto: 300_000, rpo: 7_200_000 },
    restore: {
      stop: { from: 'cora.toml', key: 'restore.stop', run: 'systemctl stop app' },
      start: { from: 'cora.toml', key: 'restore.start', run: ['systemctl', 'start', 'app'] },
      commandTimeout: 300_000,
    },
    artefacts: [
      {
        ...artefact('app', 'command'),
        ...{ command: asked('app', 'command', 'pg_dump app'), restore: asked('app', 'restore', 'psql app'), minSize: 1000, timeout: 7_200_000 },
      },
      {
        ...artefact('store', 'directory'),
        ...{ path: 'data/store', optional: true, lockWait: 2000 },
        ...{ lockCommand: asked('store', 'lock_command', 'stop'), unlockCommand: asked('store', 'unlock_command', 'go') },
      },
      { ...artefact('other', 'directory'), path: 'other', lock: 'other/lock' },
    ],
    checks: [
      { from: 'cora.toml', key: 'checks.rows', name: 'rows', timeout: 30_000, retries: 0, wait: 1000, run: 'true' },
      {
        ...{ from: 'cora.toml', key: 'checks.answers', name: 'answers', timeout: 2000, retries: 9, wait: 3000 },
        request: {
          ...{ url: 'http://127.0.0.1:8080/', method: 'PUT', headers: { accept: 'text/plain' }, body: 'x', status: [204] },
          json: { path: 'a.b', atLeast: 3 },
        },
      },
    ],
    offsite: {
      remotes: ['spaces:cora-backups'],
      env: 'prod',
      recipients: ['age1qyqszqgpqyqszqgpqyqszqgpqyqszqgp'],
      allowPlaintext: true,
      bwlimit: '2M',
      timeout: 30_000,
      saves: true,
      afterBackup: false,
      lock: 30 * 86_400_000,
      credentials: '/etc/cora/backup.env',
      rcloneConfig: '~/r.conf',
      retention: 'all',
    },
    health: {
      ...{ maxAge: 93_600_000, minFree: 2_000_000_000, maxWal: 7, drillEvery: 2_678_400_000 },
      notify: { from: 'cora.toml', key: 'health.notify', run: ['mail', 'admin'] },
      webhook: { from: 'cora.toml', key: 'health.webhook', request: { url: 'https://hooks.example.org/x' } },
    },
    retention: {
      auto: true,
      saves: 'all',
      backups: { daily: 3, within: 172_800_000, preset: 'atocore' },
      weekStarts: 'sunday',
      maxSize: 5_000_000_000,
    },
    phrases: Object.fromEntries(['save', 'backup', 'verify', 'list', 'size', 'last', 'health', 'lost'].map((key) => [key, [`my ${key}`]])),
    hook: { enabled: false, warnSize: 1_000_000, blockSize: 'off', budget: 5000, onFailure: 'block', skipBranches: ['wip/*'] },
  });
  for (const key of CONFIG_KEYS) expect(text + keys).toContain(key.slice(key.lastIndexOf('.') + 1));
});

test('a later part wins key by key and leaves the rest', async () => {
  const project = await parseConfig('log_cap = 7\n[scan]\nexclude = ["a"]\none_file_system = false', 'cora.toml');
  const machine = await parseConfig('vault = "/mnt/v"\n[scan]\nexclude = ["b"]', 'machine.toml');
  const merged = mergeConfig(project, machine);
  expect(merged.logCap).toBe(7);
  expect(merged.vault).toBe('/mnt/v');
  expect(merged.scan).toEqual({ exclude: ['b'], excludeDefaults: true, oneFileSystem: false });
  expect(withoutPrivilegedKeys(machine)).toEqual({ part: { scan: { exclude: ['b'] } }, dropped: ['vault'] });
  expect(withoutPrivilegedKeys(project)).toEqual({ part: project, dropped: [] });
});

test('rules of retention that root does not take from a foreign file also end the automatic removal', async () => {
  const rules = await parseConfig('[retention]\nauto = true\nbackups = { daily = 1 }\nweek_starts = "sunday"', 'cora.toml');
  expect(withoutPrivilegedKeys(rules)).toEqual({ part: { retention: { auto: false, weekStarts: 'sunday' } }, dropped: ['retention.backups'] });
  const plain = await parseConfig('[retention]\nauto = true', 'cora.toml');
  expect(withoutPrivilegedKeys(plain)).toEqual({ part: plain, dropped: [] });
});

test.each([
  ['[scan]\nexclud = []', 'unknown key: scan.exclud. did you mean scan.exclude?'],
  ['[backup]\nlog_cap = 5', 'unknown key: backup.log_cap. did you mean log_cap?'],
  ['min_age = "1h"', 'did you mean backup.min_age?'],
  ['[crtical]\npatterns = []', 'did you mean critical?'],
  ['zzzzqqqq = 1', 'lists every key'],
  ['log_cap = "5 apples"', 'log_cap must be a size'],
  ['log_cap = -1', 'log_cap must be a size'],
  ['[databases]\ntimeout = 30', 'databases.timeout must be a duration'],
  ['[critical]\npatterns = ["a", 3]', 'critical.patterns must be a list'],
  ['[critical]\npatterns = ["a\\nb"]', 'critical.patterns must be a list'],
  ['scan = 3', 'scan must be a table'],
  ['name = "../up"', 'name must begin with'],
  ['vault = "relative"', 'vault must be an absolute path'],
  ['a = \n', 'not valid TOML in line 1'],
  ['name = "a"\nname = "b"', 'not valid TOML in line 2'],
  ['[__proto__]\nx = 1', 'config_invalid'],
])('%j is refused', async (text, part) => {
  const message = await failure(text);
  expect(message).toMatch(/^config_invalid: cora\.toml/);
  expect(message).toContain(part);
});

test('docs/configuration.md lists every key with its default', () => {
  const page = readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8');
  for (const key of CONFIG_KEYS) expect(page).toContain(`| \`${key}\` |`);
  for (const list of [defaultConfig.logs, defaultConfig.critical.patterns]) {
    expect(page).toContain(`\`[${list.map((pattern) => JSON.stringify(pattern)).join(', ')}]\``);
  }
});
