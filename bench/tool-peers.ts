// How the benchmark calls the peers: restic and borg from apt with their ordinary options, and
// `tar | pigz -1` beside the archive of a backup. restic always encrypts; borg runs without.

import { join } from 'node:path';
import type { Command } from './measure.ts';
import { versionOf } from './programs.ts';
import { baseEnv, type Place, type Tool } from './tool.ts';

function restic(place: Place, ...args: string[]): Command {
  const env = { ...baseEnv(place), RESTIC_PASSWORD: 'benchmark', RESTIC_CACHE_DIR: join(place.home, 'cache') };
  return { argv: ['restic', '-q', '-r', place.repository, ...args], cwd: place.data, env };
}

const resticTool: Tool = {
  name: 'restic',
  needs: ['restic'],
  version: () => versionOf(['restic', 'version']).replace(/ compiled.*/u, ''),
  create: (place) => restic(place, 'init', '--repository-version', '2'),
  save: (place) => restic(place, 'backup', '.'),
  restore: (place) => restic(place, 'restore', 'latest', '--target', place.out),
  restoreOne: (place, _serial, path) => restic(place, 'restore', 'latest', '--target', place.out, '--include', `/${path}`),
  restoredRoot: (place) => place.out,
  verify: (place) => restic(place, 'check', '--read-data'),
};

function borg(place: Place, cwd: string, ...args: string[]): Command {
  const env = {
    ...baseEnv(place),
    BORG_BASE_DIR: place.home,
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
  };
  return { argv: ['borg', ...args], cwd, env };
}

function borgTool(name: string, compression: string): Tool {
  return {
    name,
    needs: ['borg'],
    version: () => versionOf(['borg', '--version']),
    create: (place) => borg(place, place.home, 'init', '-e', 'none', place.repository),
    save: (place, serial) => borg(place, place.data, 'create', '-C', compression, `${place.repository}::save-${serial}`, '.'),
    restore: (place, serial) => borg(place, place.out, 'extract', `${place.repository}::save-${serial}`),
    restoreOne: (place, serial, path) => borg(place, place.out, 'extract', `${place.repository}::save-${serial}`, path),
    restoredRoot: (place) => place.out,
    verify: (place) => borg(place, place.home, 'check', '--verify-data', place.repository),
  };
}

const tarTool: Tool = {
  name: 'tar-pigz',
  needs: ['tar', 'pigz', 'bash'],
  version: () => `${versionOf(['tar', '--version'])}, ${versionOf(['pigz', '--version'])}`,
  create: (place) => ({ argv: ['mkdir', place.repository], cwd: place.home, env: baseEnv(place) }),
  archive: (place, serial) => ({
    argv: ['bash', '-o', 'pipefail', '-c', 'tar -cf - . | pigz -1 > "$1"', 'bash', join(place.repository, `${serial}.tar.gz`)],
    cwd: place.data,
    env: baseEnv(place),
  }),
};

/** The peers in the order of their columns. */
export const peerTools: readonly Tool[] = [resticTool, borgTool('borg-lz4', 'lz4'), borgTool('borg-zstd', 'zstd,3'), tarTool];
