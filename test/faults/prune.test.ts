// `cora prune` on real vaults: what it says, what it removes, what it never touches, and that a crash or a busy reader harms
// nothing. Snapshots are made under clocks of their own (faketime).

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findProgram } from '../../src/os/run.ts';
import { listSnapshots } from '../../src/vault/catalog.ts';
import { openVault } from '../../src/vault/vault.ts';
import { type Document, execute, isRoot, Sandbox, whyNotNobody } from '../support/sandbox.ts';

const faketime = findProgram('faketime');
const CORA = join(import.meta.dirname, '../..', 'bin', 'cora');

type Entry = { readonly snapshot_id: string; readonly kind: string; readonly reason: string };
type Pruned = Document & { readonly code: number | null; readonly result: { readonly [key: string]: unknown } };

class Vault {
  readonly sandbox: Sandbox;
  #count = 0;

  /** In memory, where nothing is sealed, but for those that say otherwise. */
  constructor(fast: boolean) {
    this.sandbox = new Sandbox({ fast });
  }

  at(time: string, args: readonly string[]) {
    const { root, home, vault, project } = this.sandbox;
    const env = { PATH: process.env['PATH'], HOME: home, CORA_VAULT: vault, CORA_LOG: join(root, 'cora.log'), TZ: 'UTC' };
    return execute(faketime ?? '', ['-f', `@${time}`, CORA, ...args], { cwd: project, env });
  }

  /** A changed file and a snapshot of it; gives its id. */
  async make(time: string, ...args: readonly string[]): Promise<string> {
    this.#count += 1;
    writeFileSync(join(this.sandbox.project, `file-${this.#count}`), `${this.#count}`);
    const run = await this.at(time, [...args, '--json']);
    if (run.code !== 0) throw new Error(`${args.join(' ')}: ${run.stdout}${run.stderr}`);
    return String((JSON.parse(run.stdout) as Document).result['snapshot_id']);
  }

  async prune(...args: readonly string[]): Promise<Pruned> {
    return (await this.sandbox.json(['prune', ...args])) as Pruned;
  }

  /** `backup 20261110-...`, in the order of the ledger. */
  listed(): string[] {
    return listSnapshots(openVault(this.sandbox.vault))
      .map(({ kind, id }) => `${kind} ${id}`)
      .toSorted((one, other) => one.slice(one.indexOf(' ')).localeCompare(other.slice(other.indexOf(' '))));
  }
}

function open(fast = true): Vault {
  const vault = new Vault(fast);
  writeFileSync(join(vault.sandbox.project, 'CLAUDE.md'), 'memory\n');
  onTestFinished(() => vault.sandbox.remove());
  return vault;
}

const names = (entries: unknown) => (entries as Entry[]).map(({ kind, snapshot_id: id }) => `${kind} ${id}`);

describe.skipIf(faketime === undefined)('cora prune (needs faketime)', () => {
  test('says what would go and why, changes nothing, and removes it with --confirm: sealed backups and saves that nobody needs', async () => {
    const vault = open(false);
    const ids: string[] = [];
    for (const day of ['10', '11', '12']) ids.push(await vault.make(`2026-11-${day} 03:15:00`, 'backup', 'now', '--trigger', 'timer'));
    const before = vault.listed();
    const dry = await vault.prune('--keep-daily', '2');
    expect(dry.code).toBe(0);
    expect(dry.result['dry_run']).toBe(true);
    expect(names(dry.result['would_delete'])).toEqual([`save ${ids[0]}`, `backup ${ids[0]}`]);
    expect((dry.result['kept'] as Entry[]).map(({ reason }) => reason)).toContain('newest of 2026-11-11 (daily 2 of 2)');
    expect(vault.listed()).toEqual(before);
    const done = await vault.prune('--keep-daily', '2', '--confirm');
    expect(done.code).toBe(0);
    expect(names(done.result['deleted'])).toContain(`backup ${ids[0]}`);
    expect(existsSync(join(vault.sandbox.vault, ids[0] ?? ''))).toBe(false);
    expect(readdirSync(join(vault.sandbox.vault, '.trash'))).toEqual([]);
    expect(readFileSync(join(vault.sandbox.vault, 'ledger/chain.log'), 'utf8')).toContain(` prune ${ids[0]} `);
    expect((await vault.sandbox.json(['verify', '--all'])).code).toBe(0);
    expect((await vault.prune('--keep-daily', '2', '--confirm')).code).toBe(0);
  });

  test('never touches what is no snapshot, and names it', async () => {
    const vault = open();
    for (const day of ['10', '11']) await vault.make(`2026-11-${day} 03:15:00`, 'backup', 'now');
    mkdirSync(join(vault.sandbox.vault, 'my-own-copy'));
    mkdirSync(join(vault.sandbox.vault, 'progress/2026/11/10/whatever'));
    mkdirSync(join(vault.sandbox.vault, '20200101-000000-nogit'));
    const done = await vault.prune('--keep-last', '1', '--confirm');
    expect(done.result['unparseable']).toEqual(['20200101-000000-nogit', 'my-own-copy', 'progress/2026/11/10/whatever']);
    for (const name of done.result['unparseable'] as string[]) expect(existsSync(join(vault.sandbox.vault, name))).toBe(true);
  });

  test('labelled and pinned ones stay, pins end, and unpin ends them', async () => {
    const vault = open();
    const labelled = await vault.make('2026-11-01 03:15:00', 'backup', 'now', '-l', 'pre-upgrade-2.0');
    const pinned = await vault.make('2026-11-02 03:15:00', 'backup', 'now');
    const brief = await vault.make('2026-11-03 03:15:00', 'backup', 'now');
    await vault.make('2026-11-04 03:15:00', 'backup', 'now');
    expect((await vault.sandbox.json(['pin', pinned])).code).toBe(0);
    expect((await vault.at('2026-11-04 03:20:00', ['pin', brief, '--until', '2026-11-10'])).code).toBe(0);
    expect((await vault.at('2026-11-05 03:20:00', ['prune', '--keep-last', '1', '--json'])).stdout).toContain('pinned until 2026-11-10');
    const plan = await vault.prune('--keep-last', '1');
    expect(names(plan.result['would_delete'])).toContain(`backup ${brief}`);
    const kept = plan.result['kept'] as Entry[];
    expect(kept.find(({ snapshot_id: id, kind }) => id === labelled && kind === 'backup')?.reason).toBe('has the label pre-upgrade-2.0');
    expect(kept.find(({ snapshot_id: id, kind }) => id === pinned && kind === 'backup')?.reason).toBe('pinned');
    expect((await vault.sandbox.json(['unpin', pinned])).result['pinned']).toBe(false);
    expect(names((await vault.prune('--keep-last', '1')).result['would_delete'])).toContain(`backup ${pinned}`);
    expect((await vault.sandbox.json(['pin', pinned, '--until', '2026-01-01'])).code).toBe(2);
    expect((await vault.sandbox.json(['pin', 'no-such-one'])).code).toBe(2);
  });

  test('a damaged save stays and keeps the other saves, whose objects it may need; backups go all the same', async () => {
    const vault = open();
    const file = join(vault.sandbox.project, 'file');
    const ids: string[] = [];
    for (const day of ['10', '11', '12']) {
      writeFileSync(file, day);
      const { stdout } = await vault.at(`2026-11-${day} 03:15:00`, ['backup', 'now', '--json']);
      ids.push(String((JSON.parse(stdout) as Document).result['snapshot_id']));
    }
    rmSync(join(vault.sandbox.vault, `progress/2026/11/11/${(ids[1] ?? '').slice(9)}/objects.tar.zst`));
    const done = await vault.prune('--keep-last', '1', '--confirm');
    expect([done.code, names(done.result['errors'])]).toEqual([3, [`save ${ids[0]}`]]);
    expect(vault.listed()).toEqual([`save ${ids[0]}`, `save ${ids[1]}`, `save ${ids[2]}`, `backup ${ids[2]}`]);
    expect((await vault.sandbox.json(['verify', ids[0] ?? ''])).code).toBe(0);
  });

  test('a save whose sums are not those of the ledger is damaged: it stays', async () => {
    const vault = open();
    const ids: string[] = [];
    for (const day of ['10', '11', '12']) ids.push(await vault.make(`2026-11-${day} 03:15:00`, 'save'));
    const sums = join(vault.sandbox.vault, `progress/2026/11/11/${(ids[1] ?? '').slice(9)}/SHA256SUMS.txt`);
    writeFileSync(
      sums,
      readFileSync(sums, 'latin1').replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
    );
    expect((await vault.prune('--keep-last', '1', '--confirm')).code).toBe(0);
    expect(vault.listed()).toEqual([`save ${ids[1]}`, `save ${ids[2]}`]);
  });

  test('refuses (20) while the newest is suspect, damaged or dated in the future', async () => {
    const vault = open();
    const chattr = (flag: string) => execute('chattr', ['-R', '-f', flag, join(vault.sandbox.vault)]);
    for (const day of ['10', '11']) await vault.make(`2026-11-${day} 03:15:00`, 'backup', 'now');
    const before = vault.listed();
    // A byte of the newest archive, which only reading finds.
    await chattr('-i');
    const newest = join(
      vault.sandbox.vault,
      readdirSync(vault.sandbox.vault)
        .filter((name) => name.startsWith('20261111'))
        .at(0) ?? '',
    );
    const archive = join(newest, 'project-full.tar.gz');
    const good = readFileSync(archive);
    const bad = Buffer.from(good);
    bad.writeUInt8((bad[100] ?? 0) ^ 1, 100);
    writeFileSync(archive, bad);
    expect((await vault.prune('--keep-last', '1', '--confirm')).code).toBe(20);
    // From then on the ledger knows it.
    expect((await vault.prune('--keep-last', '1')).code).toBe(20);
    writeFileSync(archive, good);
    await vault.sandbox.json(['verify', '--all']);
    expect((await vault.prune('--keep-last', '1')).code).toBe(0);
    const ahead = await vault.at('2031-01-01 00:00:00', ['save', '-m', 'a clock that ran ahead', '--json']);
    expect(ahead.code).toBe(0);
    expect((await vault.prune('--keep-last', '1')).code).toBe(20);
    await vault.make('2026-11-12 03:15:00', 'save');
    const plan = await vault.prune('--keep-last', '1');
    expect(plan.code).toBe(0);
    expect((plan.result['kept'] as Entry[]).map(({ reason }) => reason)).toContain('dated in the future: not counted, never removed');
    writeFileSync(join(vault.sandbox.project, 'CLAUDE.md'), '');
    expect((await vault.at('2026-11-13 03:15:00', ['save'])).code).toBe(3);
    const frozen = await vault.prune('--keep-last', '1', '--confirm');
    expect([frozen.code, frozen.error.code]).toEqual([20, 'refused']);
    expect(vault.listed().filter((one) => before.includes(one))).toEqual(before);
  });
});

const NIGHTLY = ['backup', 'now', '--trigger', 'timer', '--json'];
const configure = (vault: Vault, text: string) => writeFileSync(join(vault.sandbox.project, 'cora.toml'), text);

describe.skipIf(faketime === undefined)('by itself after the nightly backup (needs faketime)', () => {
  test('where it is switched on the rules are followed; what a person made stays, and a backup by hand removes nothing', async () => {
    const vault = open();
    configure(vault, '[retention]\nauto = true\nbackups = { daily = 2 }\nsaves = "all"\n');
    const byHand = await vault.make('2026-11-01 12:00:00', 'backup', 'now');
    const first = await vault.make('2026-11-02 03:15:00', ...NIGHTLY.slice(0, -1));
    await vault.make('2026-11-03 03:15:00', ...NIGHTLY.slice(0, -1));
    await vault.make('2026-11-04 12:00:00', 'backup', 'now');
    expect(vault.listed()).toContain(`backup ${first}`);
    writeFileSync(join(vault.sandbox.project, 'new'), '1');
    const run = await vault.at('2026-11-04 15:15:00', NIGHTLY);
    expect(run.code).toBe(0);
    expect(names((JSON.parse(run.stdout) as { result: { pruned: { deleted: unknown } } }).result.pruned.deleted)).toEqual([`backup ${first}`]);
    const left = vault.listed();
    expect(left).not.toContain(`backup ${first}`);
    expect(left).toContain(`backup ${byHand}`);
    expect(left.filter((one) => one.startsWith('save'))).toHaveLength(5);
  });

  test('cora init switches it on, and without it nothing goes', async () => {
    const vault = open();
    mkdirSync(join(vault.sandbox.home, '.config/cora'), { recursive: true });
    writeFileSync(join(vault.sandbox.home, '.config/cora/project.toml'), '[retention]\nbackups = { daily = 2 }\n');
    const ids: string[] = [];
    for (const day of ['01', '02', '03']) ids.push(await vault.make(`2026-09-${day} 03:15:00`, ...NIGHTLY.slice(0, -1)));
    expect(vault.listed()).toHaveLength(6);
    expect((await vault.sandbox.cora(['init', '--yes', '--no-timers', '--no-hook'])).code).toBe(0);
    writeFileSync(join(vault.sandbox.project, 'new'), '1');
    expect((await vault.sandbox.json(NIGHTLY.slice(0, -1))).code).toBe(0);
    const left = vault.listed();
    expect(ids.filter((id) => left.includes(`backup ${id}`))).toEqual(ids.slice(2));
  });

  test('a refusal, and a vault that somebody reads, leave the backup as good as it is', async () => {
    const vault = open();
    configure(vault, '[retention]\nauto = true\nbackups = { daily = 1 }\n');
    for (const day of ['02', '03']) await vault.make(`2026-11-${day} 03:15:00`, 'save');
    await vault.make('2026-11-02 03:15:00', ...NIGHTLY.slice(0, -1));
    const first = await vault.make('2026-11-03 03:15:00', 'backup', 'auto');
    const gcLock = join(vault.sandbox.vault, '.gc-lock');
    const reader = spawn('flock', ['-s', gcLock, 'sleep', '30']);
    onTestFinished(() => void reader.kill());
    writeFileSync(join(vault.sandbox.project, 'new'), '1');
    const run = await vault.at('2026-11-04 03:15:00', [...NIGHTLY, '--lock-wait', '1s']);
    expect(run.code).toBe(0);
    const { problems, result } = JSON.parse(run.stdout) as Document;
    expect([problems.map(({ code }) => code), result['pruned']]).toEqual([['prune_skipped'], null]);
    expect(vault.listed()).toContain(`backup ${first}`);
    // While it waits for a reader, nobody else has to wait.
    writeFileSync(join(vault.sandbox.project, 'newer'), '1');
    expect((await vault.sandbox.json(['prune', '--keep-last', '1', '--confirm', '--lock-wait', '1s'])).code).toBe(11);
    expect((await vault.sandbox.json(['save', '--lock-wait', '1s'])).code).toBe(0);
  });

  test('what goes for the size of the vault alone is named by one run and goes with the next, and the last good ones never', async () => {
    const vault = open();
    configure(vault, '[retention]\nauto = true\nsaves = "all"\nbackups = "all"\nmax_size = "1kB"\n');
    const first = await vault.make('2026-11-02 03:15:00', ...NIGHTLY.slice(0, -1));
    writeFileSync(join(vault.sandbox.project, 'new'), '1');
    const second = await vault.at('2026-11-03 03:15:00', NIGHTLY);
    const told = (JSON.parse(second.stdout) as Document).problems.find(({ code }) => code === 'vault_size');
    expect(told?.message).toContain(`backup ${first}`);
    expect(vault.listed()).toContain(`backup ${first}`);
    expect((await vault.at('2026-11-03 04:00:00', ['status'])).stdout).toContain('(retention.max_size); the next nightly backup removes');
    writeFileSync(join(vault.sandbox.project, 'new'), '2');
    expect((await vault.at('2026-11-04 03:15:00', NIGHTLY)).code).toBe(0);
    const left = vault.listed();
    expect(left).not.toContain(`backup ${first}`);
    writeFileSync(join(vault.sandbox.project, 'new'), '3');
    for (const day of ['05', '06', '07']) expect((await vault.at(`2026-11-${day} 03:15:00`, NIGHTLY)).code).toBe(0);
    expect(vault.listed().some((one) => one.startsWith('backup 20261107'))).toBe(true);
    expect((await vault.sandbox.json(['verify', '--all'])).code).toBe(0);
  });
});

const strace = findProgram('strace');
const SLOW = process.env['CORA_TEST_SLOW'] === '1';
/** A good round of steps; the slow run takes each. */
const STEPS = SLOW ? Array.from({ length: 90 }, (_, n) => n + 1) : [9, 20];

test.skipIf(faketime === undefined || strace === undefined || !isRoot)(
  `a kill at any step leaves every listed snapshot whole, and the next run ends what was begun (needs root, faketime, strace; ${STEPS.length} steps)`,
  async () => {
    const vault = open(false);
    const { root, home, project, vault: made } = vault.sandbox;
    for (const day of ['10', '11', '12']) await vault.make(`2026-11-${day} 03:15:00`, 'backup', 'now');
    for (const day of ['12', '13']) await vault.make(`2026-11-${day} 04:15:00`, 'save');
    await vault.sandbox.json(['verify', '--all']);
    const wanted = names((await vault.prune('--keep-daily', '1')).result['kept']).toSorted();
    await execute('chattr', ['-R', '-f', '-i', made]);
    let reached = 0;
    for (const step of STEPS) {
      const copy = join(root, `copy-${step}`);
      await execute('cp', ['-a', made, copy]);
      for (const name of readdirSync(copy).filter((one) => one.startsWith('2026'))) await execute('chattr', ['-R', '+i', join(copy, name)]);
      const env = { PATH: process.env['PATH'], HOME: home, CORA_VAULT: copy, CORA_LOG: '', CORA_WORKERS: '0' };
      const calls = 'rename,unlink,unlinkat,rmdir,mkdir,fsync,ftruncate';
      const inject = ['-f', '-qq', '-o', join(root, 'trace'), '-e', `trace=${calls}`, '-e', `inject=${calls}:signal=KILL:when=${step}`];
      const run = await execute(strace ?? '', [...inject, CORA, 'prune', '--keep-daily', '1', '--confirm'], { cwd: project, env });
      if (run.code !== 0) reached += 1;
      const options = { env: { CORA_VAULT: copy } };
      // Nobody has put anything right yet.
      const verified = await vault.sandbox.json(['verify', '--all'], options);
      expect([step, verified.code, verified.error?.code]).toEqual([step, expect.toBeOneOf([0, 3]), undefined]);
      writeFileSync(join(project, 'after'), `${step}`);
      expect([step, (await vault.sandbox.json(['save'], options)).code]).toEqual([step, 0]);
      const trash = join(copy, '.trash');
      expect([step, existsSync(trash) ? readdirSync(trash) : [], existsSync(join(copy, 'ledger/pruning.json'))]).toEqual([step, [], false]);
      const done = await vault.sandbox.json(['prune', '--keep-daily', '1', '--confirm'], options);
      expect([step, done.code]).toEqual([step, 0]);
      const left = names(done.result['kept']);
      expect([step, left.filter((one) => one.startsWith('backup'))]).toEqual([step, wanted.filter((one) => one.startsWith('backup'))]);
      expect([step, (await vault.sandbox.json(['verify', '--all'], options)).code]).toEqual([step, 0]);
      await execute('chattr', ['-R', '-f', '-i', copy]);
      rmSync(copy, { recursive: true, force: true });
    }
    expect(reached).toBeGreaterThan(STEPS.length / 3);
  },
  SLOW ? 3_600_000 : 240_000,
);

test.skipIf(!isRoot || findProgram('setpriv') === undefined)(
  'what an ordinary user may not unseal gets its tombstone, a pin takes it back, and cora-seal removes it (needs root, setpriv)',
  async () => {
    const user = new Sandbox({ nobody: true });
    onTestFinished(() => user.remove());
    const seals = async () => {
      const state = join(user.root, 'state/cora/projects');
      mkdirSync(state, { recursive: true });
      writeFileSync(join(state, '1.json'), JSON.stringify({ root: user.project, vault: user.vault, vault_id: 'x' }));
      const as = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--inh-caps=+linux_immutable', '--ambient-caps=+linux_immutable', '--'];
      const env = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', XDG_STATE_HOME: join(user.root, 'state'), CORA_LOG: '' };
      return execute('setpriv', [...as, CORA, 'protect', '--seals'], { env });
    };
    const ids: string[] = [];
    for (const content of ['1', '2']) {
      writeFileSync(join(user.project, 'file'), content);
      ids.push((await user.snapshot(['backup', 'now'])).id);
    }
    expect((await seals()).code).toBe(0);
    const prune = async () => (await user.json(['prune', '--keep-last', '1', '--confirm'])) as Pruned;
    const first = await prune();
    expect([first.code, names(first.result['errors']), names(first.result['deleted'])]).toEqual([3, [`backup ${ids[0]}`], [`save ${ids[0]}`]]);
    expect((await user.json(['verify', '--all'])).code).toBe(0);
    expect((await user.cora(['pin', ids[0] ?? ''])).code).toBe(0);
    await seals();
    expect(existsSync(join(user.vault, ids[0] ?? ''))).toBe(true);
    expect(names((await prune()).result['kept'])).toContain(`backup ${ids[0]}`);
    expect((await user.cora(['unpin', ids[0] ?? ''])).code).toBe(0);
    const again = await prune();
    expect([again.code, names(again.result['errors'])]).toEqual([3, [`backup ${ids[0]}`]]);
    expect(names((await user.json(['prune', '--keep-last', '1'])).result['waiting'])).toEqual([`backup ${ids[0]}`]);
    expect((await seals()).code).toBe(0);
    expect(existsSync(join(user.vault, ids[0] ?? ''))).toBe(false);
    expect([existsSync(join(user.vault, ids[1] ?? '')), readdirSync(join(user.vault, '.trash'))]).toEqual([true, []]);
    expect((await user.json(['verify', '--all'])).code).toBe(0);
  },
);

/** As btrfs may leave it: the move to the trash is on the disk, and that the flags were lifted before it is not. */
test.skipIf(!isRoot || whyNotNobody() !== undefined)(
  'what lies immutable in the trash goes with the next run that may lift its flags, and stops no other (needs root)',
  async () => {
    const user = new Sandbox({ nobody: true });
    onTestFinished(() => user.remove());
    writeFileSync(join(user.project, 'file'), '1');
    const ids = [(await user.snapshot(['backup', 'now'])).id];
    const left = join(user.vault, '.trash', `backup-${ids[0]}`);
    mkdirSync(join(left, 'files'), { recursive: true });
    writeFileSync(join(left, 'files/one'), 'one');
    for (const path of [join(user.vault, '.trash'), left, join(left, 'files'), join(left, 'files/one')]) user.own(path);
    writeFileSync(join(user.vault, 'ledger/pruning.json'), '[]\n');
    user.own(join(user.vault, 'ledger/pruning.json'));
    await execute('chattr', ['-R', '+i', left]);
    // Nobody may not lift them: the save is made, and the rest stays for whom it belongs to.
    writeFileSync(join(user.project, 'file'), '2');
    expect([(await user.cora(['save'])).code, existsSync(join(left, 'files/one'))]).toEqual([0, true]);
    expect(existsSync(join(user.vault, 'ledger/pruning.json'))).toBe(true);
    const env = { PATH: process.env['PATH'], HOME: user.home, CORA_VAULT: user.vault, CORA_LOG: '' };
    const root = await execute(CORA, ['save'], { cwd: user.project, env });
    expect([root.code, readdirSync(join(user.vault, '.trash')), existsSync(join(user.vault, 'ledger/pruning.json'))]).toEqual([0, [], false]);
  },
);
