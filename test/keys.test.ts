// Keys for off-site copies: made where nobody else sees them, never written over, named in the configuration by one line, and
// usable from paper.

import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { withRecipient } from '../src/actions/key-config.ts';
import { findProgram, runSync } from '../src/os/run.ts';
import { Sandbox, whyNotNobody } from './support/sandbox.ts';

const whyNot = whyNotNobody();
let sandboxes: Sandbox[] = [];
afterEach(async () => {
  for (const sandbox of sandboxes) await sandbox.remove();
  sandboxes = [];
});

function sandbox(options: { readonly nobody?: boolean } = {}): Sandbox {
  const made = new Sandbox(options);
  sandboxes.push(made);
  return made;
}

const keyOf = (box: Sandbox) => join(box.home, '.config/cora/keys/project.txt');
const secretIn = (path: string) => /^AGE-SECRET-KEY-1.{58}$/m.exec(readFileSync(path, 'utf8'))?.[0] ?? 'none';

/** Every text that a run leaves behind or prints, but the key file itself. */
async function everythingSaid(box: Sandbox, ...runs: readonly { readonly stdout: string; readonly stderr: string }[]): Promise<string> {
  const files = runSync('/usr/bin/find', [box.root, '-type', 'f', '-not', '-path', '*/keys/*', '-print0']).stdout.toString().split('\0');
  return [
    ...files.filter((path) => path !== '').map((path) => readFileSync(path, 'latin1')),
    ...runs.flatMap(({ stdout, stderr }) => [stdout, stderr]),
  ].join('\n');
}

test('a new key is its owner’s alone, is not written over, and its secret is printed nowhere', async () => {
  const box = sandbox();
  const made = await box.cora(['key', 'new']);
  expect(made.code, made.stderr).toBe(0);
  const path = keyOf(box);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
  const secret = secretIn(path);
  expect(secret).not.toBe('none');
  const before = readFileSync(path);
  const again = await box.json(['key', 'new']);
  expect(again.code).toBe(20);
  expect(again.error.code).toBe('target_exists');
  expect(readFileSync(path).equals(before)).toBe(true);
  const shown = await box.cora(['key', 'show', '--qr']);
  expect(shown.stdout).toContain('age1');
  const document = await box.json(['key', 'show']);
  expect(await everythingSaid(box, made, shown, { stdout: JSON.stringify(document), stderr: document.stderr })).not.toContain(secret);
});

test('a key is refused in the project, the vault and any git work tree', async () => {
  const box = sandbox();
  const tree = join(box.root, 'dotfiles');
  mkdirSync(join(tree, '.git'), { recursive: true });
  mkdirSync(box.vault);
  for (const place of [join(box.project, 'key.txt'), join(box.project, 'new/dir/key.txt'), join(box.vault, 'key.txt'), join(tree, 'a/key.txt')]) {
    const run = await box.json(['key', 'new', '--out', place]);
    expect(`${run.code} ${run.error.code}`).toBe('20 refused');
    expect(existsSync(place)).toBe(false);
  }
  const elsewhere = join(box.root, 'stick', 'key.txt');
  expect((await box.cora(['key', 'new', '--out', elsewhere])).code).toBe(0);
  expect(secretIn(elsewhere)).not.toBe('none');
});

test('the paper key as it is printed is an identity file for Cora and for age', async () => {
  const box = sandbox();
  writeFileSync(join(box.project, 'cora.toml'), '[offsite]\nremote = "/mnt/nas/copies"\n');
  await box.cora(['key', 'new']);
  const { stdout: paper } = await box.cora(['key', 'show', '--secret']);
  const secret = secretIn(keyOf(box));
  expect(paper).toContain('/mnt/nas/copies');
  expect(paper.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([secret]);
  expect(paper.match(/█/g)?.length).toBeGreaterThan(100);
  const [, recipient = ''] = /(age1[a-z0-9]{58})/.exec(paper) ?? [];
  const typed = join(box.root, 'typed.txt');
  for (const text of [paper, secret]) {
    writeFileSync(typed, text, { mode: 0o600 });
    expect((await box.json(['key', 'show', typed])).result['recipients']).toEqual([recipient]);
    const age = findProgram('age');
    if (age === undefined) continue;
    const locked = runSync(age, ['-r', recipient], { input: 'hello' }).stdout;
    expect(runSync(age, ['-d', '-i', typed], { input: locked }).stdout.toString()).toBe('hello');
  }
  const groups = /#\s+AGE-SECRET-KEY-1 (.*)\n#\s+(.*)\n/.exec(paper);
  expect(`AGE-SECRET-KEY-1${groups?.[1]}${groups?.[2]}`.replaceAll(' ', '')).toBe(secret);
});

test('a mistyped key, one with blanks, and one that others may read say what is wrong, without the key', async () => {
  const box = sandbox();
  await box.cora(['key', 'new']);
  const secret = secretIn(keyOf(box));
  const typed = join(box.root, 'typed.txt');
  const mistyped = `${secret.slice(0, -1)}${secret.endsWith('Q') ? 'P' : 'Q'}`;
  for (const [text, mode, code] of [
    [mistyped, 0o600, 'key_wrong'],
    [secret.replace(/(.{16})(.*)/, '$1 $2'), 0o600, 'key_wrong'],
    [secret, 0o644, 'refused'],
  ] as const) {
    writeFileSync(typed, text);
    chmodSync(typed, mode);
    const run = await box.json(['key', 'show', typed]);
    expect(`${run.code} ${run.error.code}`).toBe(`20 ${code}`);
    expect(JSON.stringify(run)).not.toContain(text.slice(20));
  }
});

describe.skipIf(whyNot !== undefined)('--write', () => {
  test('names the recipient in this machine’s file, once', async () => {
    const box = sandbox({ nobody: true });
    const made = await box.json(['key', 'new', '--write']);
    expect(made.code, JSON.stringify(made)).toBe(0);
    const config = join(box.home, '.config/cora/project.toml');
    expect(made.result['config']).toBe(config);
    expect(readFileSync(config, 'utf8')).toContain(`[offsite]\nrecipients = ["${made.result['recipient']}"]\n`);
    expect((await box.json(['key', 'show'])).result['used']).toEqual([made.result['recipient']]);
    const before = readFileSync(config);
    const again = await box.json(['key', 'new', '--write', '--out', join(box.root, 'second.txt')]);
    expect(`${again.code} ${again.error.code}`).toBe('20 refused');
    expect(existsSync(join(box.root, 'second.txt'))).toBe(false);
    expect(readFileSync(config).equals(before)).toBe(true);
  });

  test('keeps what the file says, its comments, its mode and its owner', async () => {
    const box = sandbox({ nobody: true });
    const config = join(box.home, '.config/cora/project.toml');
    mkdirSync(join(config, '..'), { recursive: true });
    for (const path of [join(box.home, '.config'), join(box.home, '.config/cora')]) box.own(path);
    const text = '# mine\nseal = "off"\n\n[offsite] # where it goes\nremote = "/mnt/nas"\n\n[drill]\nrto = "1h"\n';
    writeFileSync(config, text);
    box.own(config);
    chmodSync(config, 0o640);
    const made = await box.json(['key', 'new', '--write']);
    expect(made.code, JSON.stringify(made)).toBe(0);
    const line = `recipients = ["${made.result['recipient']}"]\n`;
    expect(readFileSync(config, 'utf8')).toBe(text.replace('goes\n', `goes\n${line}`));
    expect(statSync(config).mode & 0o777).toBe(0o640);
  });

  test('what cannot be added by itself is refused before there is a key', async () => {
    const box = sandbox({ nobody: true });
    const config = join(box.home, '.config/cora/project.toml');
    mkdirSync(join(config, '..'), { recursive: true });
    for (const path of [join(box.home, '.config'), join(box.home, '.config/cora')]) box.own(path);
    writeFileSync(config, 'offsite.remote = "/mnt/nas"\n');
    const run = await box.cora(['key', 'new', '--write']);
    expect(run.code).toBe(20);
    expect(existsSync(keyOf(box))).toBe(false);
    expect(readFileSync(config, 'utf8')).toBe('offsite.remote = "/mnt/nas"\n');
  });
});

test('the line goes into the table of the text, and the rest stays as it is', () => {
  const line = 'recipients = ["age1x"]\n';
  expect(withRecipient('', 'age1x')).toBe(`\n[offsite]\n${line}`);
  expect(withRecipient('seal = "off"', 'age1x')).toBe(`seal = "off"\n\n[offsite]\n${line}`);
  expect(withRecipient('[offsite]', 'age1x')).toBe(`[offsite]\n${line}`);
  expect(withRecipient('[ offsite ] # x\nenv = "a"\n', 'age1x')).toBe(`[ offsite ] # x\n${line}env = "a"\n`);
  expect(withRecipient('[offsite.retention]\ndaily = 3\n', 'age1x')).toBe(`[offsite.retention]\ndaily = 3\n\n[offsite]\n${line}`);
});

describe.skipIf(whyNot !== undefined)('cora init where copies go off-site', () => {
  const INIT = ['init', '--yes', '--no-timers', '--no-hook'];

  test('makes a key, writes its recipient, and --undo takes the line and leaves the key', async () => {
    const box = sandbox({ nobody: true });
    const toml = join(box.project, 'cora.toml');
    writeFileSync(toml, '[offsite]\nremote = "/mnt/nas/copies"\n');
    writeFileSync(join(box.project, 'a.txt'), 'a');
    const dry = await box.json([...INIT, '--dry-run']);
    expect(dry.result).toMatchObject({ answers: { key: true }, detected: { key: { exists: false, remotes: ['/mnt/nas/copies'] } } });
    expect(existsSync(keyOf(box))).toBe(false);

    const made = await box.json(INIT);
    expect(made.code, JSON.stringify(made)).toBe(0);
    const config = join(box.home, '.config/cora/project.toml');
    expect(made.result['key']).toMatchObject({ path: keyOf(box), config, made: true });
    expect(readFileSync(config, 'utf8')).toContain('recipients = ["age1');
    expect(await everythingSaid(box, { stdout: JSON.stringify(made), stderr: made.stderr })).not.toContain(secretIn(keyOf(box)));
    const before = readFileSync(config);
    expect((await box.json(INIT)).result['key']).toBeNull();
    expect(readFileSync(config).equals(before)).toBe(true);

    const undone = await box.cora(['init', '--undo', '--yes']);
    expect(undone.code, undone.stderr).toBe(0);
    expect(undone.stdout).toContain(`${keyOf(box)} stays`);
    expect(existsSync(config)).toBe(false);
    const secret = secretIn(keyOf(box));
    expect(secret).not.toBe('none');
    expect((await box.json(INIT)).result['key']).toMatchObject({ path: keyOf(box), made: false });
    expect(secretIn(keyOf(box))).toBe(secret);
  });

  test('a file of the user’s is as it was after --undo, and what was edited since stays', async () => {
    const box = sandbox({ nobody: true });
    const config = join(box.home, '.config/cora/project.toml');
    mkdirSync(join(config, '..'), { recursive: true });
    for (const path of [join(box.home, '.config'), join(box.home, '.config/cora')]) box.own(path);
    const text = '# mine\n[offsite]\nremote = "/mnt/nas" # the cellar\n';
    writeFileSync(config, text);
    box.own(config);
    expect((await box.json(INIT)).code).toBe(0);
    expect(readFileSync(config, 'utf8')).toMatch(/^# mine\n\[offsite\]\nrecipients = \["age1.*"\]\nremote = .*cellar\n$/);
    expect((await box.cora(['init', '--undo', '--yes'])).code).toBe(0);
    expect(readFileSync(config, 'utf8')).toBe(text);
    await box.json(INIT);
    const edited = readFileSync(config, 'utf8').replace('recipients = [', 'recipients = ["age1x", ');
    writeFileSync(config, edited);
    const undone = await box.json(['init', '--undo', '--yes']);
    expect(undone.code).toBe(3);
    expect(readFileSync(config, 'utf8')).toBe(edited);
  });

  test('offers none with --no-key, without a remote, or where recipients are named', async () => {
    const box = sandbox({ nobody: true });
    expect((await box.json(INIT)).result['key']).toBeNull();
    writeFileSync(join(box.project, 'cora.toml'), '[offsite]\nremote = "/mnt/nas"\n');
    expect((await box.json([...INIT, '--no-key'])).result['key']).toBeNull();
    expect(existsSync(join(box.home, '.config/cora/keys'))).toBe(false);
  });

  test('SPACES_* with a bucket are a remote as well', async () => {
    const box = sandbox({ nobody: true });
    const credentials = join(box.home, '.config/cora/backup.env');
    mkdirSync(join(credentials, '..'), { recursive: true });
    for (const path of [join(box.home, '.config'), join(box.home, '.config/cora')]) box.own(path);
    writeFileSync(
      credentials,
      'SPACES_ACCESS_KEY=AAAAAAAA\nSPACES_SECRET_KEY=canary-of-a-secret\nSPACES_ENDPOINT=127.0.0.1:1\nBACKUP_BUCKET=copies\n',
      { mode: 0o600 },
    );
    box.own(credentials);
    const made = await box.json(INIT);
    expect(made.result['key']).toMatchObject({ made: true });
    expect(JSON.stringify(made)).not.toContain('canary-of-a-secret');
  });
});
