// A machine with a real systemd: the host's own root below an overlay in memory, booted by
// systemd-nspawn. Nothing that happens in it reaches the host. Its mounts live in a mount namespace of
// its own and its processes die with this one, so that nothing stays behind, however a test ends.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findProgram } from '../../src/os/run.ts';
import { execute, isRoot, type Run } from './sandbox.ts';

const repository = join(import.meta.dirname, '..', '..');
const BOOT_MS = 30_000;
const ENVIRONMENT = ['env', '-i', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8'];

// Of the host's own services only those start that every machine needs (basic.target), and none of its timers catches up.
/** $1 where to mount, $2 the tree that stays readable and unwritable. Boots once for each line of its input. */
const KEEPER = `
mount -t tmpfs -o size=1g,mode=0755 none "$1" && mkdir "$1/upper" "$1/work" "$1/root" &&
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root" || exit 1
rm -f "$1/root/etc/machine-id" "$1/root/var/log/cora-backup.log" && : > "$1/root/etc/machine-id"
rm -rf "$1/root/var/lib/cora" "$1/root/var/lib/systemd/timers" "$1/root/etc/systemd/system/"*cora-* "$1/root/etc/systemd/system/timers.target.wants/"cora-*
echo ready
while read -r _; do
  setpriv --pdeathsig KILL systemd-nspawn -D "$1/root" -b --register=no --keep-unit --private-network --machine=cora-test \\
    --bind-ro="$2" --console=pipe systemd.unit=basic.target </dev/null >"$1/console" 2>&1 &
  echo "pid $!"
  wait $!
  echo ended
done
`;

/** A machine that runs, or why there can be none here. Nothing of ours takes part in the boot, so a boot that fails is the host's own. */
export async function startContainer(): Promise<Container | string> {
  const why = await whyNoContainer();
  if (why !== undefined) return why;
  const container = new Container();
  try {
    await container.boot();
    return container;
  } catch (error) {
    const console = container.console();
    await container.remove();
    return `it does not boot: ${error instanceof Error ? error.message : String(error)}${console === undefined ? '' : ` (${console})`}`;
  }
}

async function whyNoContainer(): Promise<string | undefined> {
  if (!isRoot) return 'not root';
  for (const [program, name] of [
    ['systemd-nspawn', 'systemd-container'],
    ['nsenter', 'util-linux'],
    ['setpriv', 'util-linux'],
  ] as const) {
    if (findProgram(program) === undefined) return `${program} is missing (package ${name})`;
  }
  if (!existsSync('/lib/systemd/systemd')) return 'systemd itself is missing (package systemd-sysv)';
  const probe =
    'd=$(mktemp -d) && mount -t tmpfs none "$d" && mkdir "$d/u" "$d/w" "$d/m" && mount -t overlay o -o "lowerdir=/,upperdir=$d/u,workdir=$d/w" "$d/m"';
  const run = await execute('unshare', ['--mount', 'sh', '-c', `${probe}; code=$?; umount "$d/m" "$d"; rmdir "$d"; exit $code`]);
  return run.code === 0 ? undefined : 'an overlay over / cannot be mounted';
}

export class Container {
  readonly #directory = mkdtempSync(join(tmpdir(), 'cora-systemd-'));
  readonly #keeper: ChildProcess;
  readonly #lines: string[] = [];
  #leader = '';

  constructor() {
    const setpriv = findProgram('setpriv') ?? '';
    const args = ['--pdeathsig', 'KILL', 'unshare', '--mount', 'sh', '-c', KEEPER, 'keeper', this.#directory, repository];
    this.#keeper = spawn(setpriv, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#keeper.stdout?.setEncoding('utf8').on('data', (text: string) => this.#lines.push(...text.trim().split('\n')));
  }

  /** The last line that nspawn or the machine printed. */
  console(): string | undefined {
    const text = readIfThere(`/proc/${this.#keeper.pid}/root${this.#directory}/console`);
    return text
      .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '')
      .match(/[^\r\n]+(?=\s*$)/)?.[0]
      ?.trim();
  }

  /** Boots, and waits until systemd has started everything. */
  async boot(): Promise<void> {
    await waitFor('the mounts', () => this.#lines.includes('ready'));
    const before = this.#lines.length;
    this.#keeper.stdin?.write('boot\n');
    await waitFor('nspawn', () => this.#lines.slice(before).some((line) => line.startsWith('pid ')));
    const nspawn =
      this.#lines
        .slice(before)
        .find((line) => line.startsWith('pid '))
        ?.slice(4) ?? '';
    await waitFor('an init', () => {
      this.#leader = childrenOf(nspawn).find((pid) => /^systemd$/m.test(readIfThere(`/proc/${pid}/comm`))) ?? '';
      if (this.#lines.slice(before).includes('ended')) throw new Error('nspawn ended at once');
      return this.#leader !== '';
    });
    await waitFor('systemd', async () => /^(running|degraded)$/m.test((await this.run('systemctl is-system-running')).stdout));
  }

  /** Runs a shell command as root in the container, at `/`. */
  run(command: string, home = '/root'): Promise<Run> {
    return execute('nsenter', ['-t', this.#leader, '-m', '-u', '-i', '-n', '-p', '-C', '--', ...ENVIRONMENT, `HOME=${home}`, 'sh', '-c', command]);
  }

  /** The same, which must end with 0; gives its standard output. */
  async must(command: string): Promise<string> {
    const run = await this.run(command);
    if (run.code !== 0) throw new Error(`${command}\nended with ${run.code}: ${run.stdout}${run.stderr}`);
    return run.stdout;
  }

  async powerOff(): Promise<void> {
    const before = this.#lines.length;
    await this.run('systemctl poweroff');
    await waitFor('power off', () => this.#lines.slice(before).includes('ended'));
  }

  /** Ends everything, in whatever state it is. */
  async remove(): Promise<void> {
    const closed = new Promise((resolve) => this.#keeper.once('close', resolve));
    // The first process of the container takes all others along, and does not always die with nspawn.
    if (/^systemd$/m.test(readIfThere(`/proc/${this.#leader}/comm`)) && /^NSpid:.*\t1$/m.test(readIfThere(`/proc/${this.#leader}/status`))) {
      process.kill(Number(this.#leader), 'SIGKILL');
    }
    // nspawn dies with the keeper, and the mounts with the last process.
    if (this.#keeper.exitCode === null && this.#keeper.kill('SIGKILL')) await closed;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Asks again until it is so. */
export async function waitFor(what: string, isSo: () => boolean | Promise<boolean>, limitMs = BOOT_MS): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`Waited ${limitMs / 1000} s for ${what} in vain`);
    await sleep(100);
  }
}

function childrenOf(pid: string): string[] {
  return readIfThere(`/proc/${pid}/task/${pid}/children`)
    .split(' ')
    .filter((child) => child !== '');
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
