// How the benchmark calls Cora: the launcher of this checkout, as a person would. All knowledge of
// Cora's command line in bench/ is here.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from './measure.ts';
import { versionOf } from './programs.ts';
import { baseEnv, type Place, type Tool } from './tool.ts';

/** The root of this checkout. */
export const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));
const LAUNCHER = join(CHECKOUT, 'bin', 'cora');

/** An empty file of this name in the data set makes it a project of its own, whatever lies above it. */
export const PROJECT_MARK = 'cora.toml';

function cora(place: Place, ...args: string[]): Command {
  // Every place where Cora remembers vaults or keeps caches is this run's own.
  const env = {
    ...baseEnv(place),
    CORA_VAULT: place.repository,
    XDG_STATE_HOME: join(place.home, 'state'),
    XDG_CACHE_HOME: join(place.home, 'cache'),
    XDG_CONFIG_HOME: join(place.home, 'config'),
  };
  return { argv: [LAUNCHER, ...args], cwd: place.data, env };
}

/** True when this checkout has a launcher that answers. */
export function isCoraReady(): boolean {
  return existsSync(LAUNCHER) && spawnSync(LAUNCHER, ['--version'], { stdio: 'ignore' }).status === 0;
}

export const coraTool: Tool = {
  name: 'cora',
  needs: [],
  version: () => versionOf([LAUNCHER, '--version']),
  save: (place) => cora(place, 'save'),
  restore: (place) => cora(place, 'restore', 'latest', '--to', place.out),
  restoreOne: (place, _serial, path) => cora(place, 'restore', 'latest', path, '--to', place.out),
  restoredRoot: (place) => place.out,
  // All snapshots, because the peers' checks read their whole repository too.
  verify: (place) => cora(place, 'verify', '--all', '--deep'),
  archive: (place) => cora(place, 'backup', 'now', '--json'),
  archiveSeconds: (stdout) => {
    const document = JSON.parse(stdout) as { result?: { archive_seconds?: unknown } };
    const seconds = document.result?.archive_seconds;
    return typeof seconds === 'number' ? seconds : undefined;
  },
  caches: ['.cache', '.stage', '.lock'],
};
