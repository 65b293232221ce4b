// The programs the benchmark needs: where they are, their versions, and their installation from apt
// when this runs as root. A tool that stays missing is skipped by name, never silently.

import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

const PACKAGES: Readonly<Record<string, string>> = { restic: 'restic', borg: 'borgbackup', pigz: 'pigz', time: 'time' };

/** True when the program is in one of the directories of PATH. */
export function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((directory) => {
    try {
      accessSync(`${directory}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Installs what is missing of `programs` where it may; returns what is still missing. */
export function installMissing(programs: readonly string[], say: (line: string) => void): readonly string[] {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length === 0 || process.getuid?.() !== 0 || !isInstalled('apt-get')) return missing;
  const packages = missing.map((program) => PACKAGES[program] ?? program);
  say(`Installing ${packages.join(', ')} from apt`);
  const lock = ['-o', 'DPkg::Lock::Timeout=300'];
  spawnSync('apt-get', [...lock, '-qq', 'update'], { stdio: 'ignore' });
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', [...lock, '-qq', 'install', '-y', '--no-install-recommends', ...packages], { stdio: 'ignore', env });
  return programs.filter((program) => !isInstalled(program));
}

/** The first line a version command prints, or `unknown`. */
export function versionOf(command: readonly string[]): string {
  const [program, ...args] = command;
  const result = spawnSync(program as string, args, { encoding: 'utf8' });
  return `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n', 1)[0] || 'unknown';
}

/** What the figures depend on, in one line, without the name of the machine. */
export function machineLine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  return `${cpus().length} x ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`;
}
