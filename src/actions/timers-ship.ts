// What the timer that ships needs to know of the remotes: whether there are any, which directories it must be able to write, and
// whether its keys are found by HOME, which a service of the system does not have.

import type { Config } from '../base/config.ts';
import { directoryOf, remotesOf } from './offsite-remote.ts';

type Machine = { readonly home: string | undefined };
type Target = { readonly project: { readonly config: Config } };

const setupOf = (machine: Machine, { project }: Target) => ({
  config: project.config.offsite,
  places: { home: machine.home, credentialsDirectory: undefined },
});

/** True where something is configured to ship to. Keys that cannot be read are no reason to do without the timer: it says so. */
export function shipsFrom(machine: Machine, target: Target): boolean {
  try {
    return remotesOf(setupOf(machine, target)).length > 0;
  } catch {
    return true;
  }
}

/** Remotes that are directories of this machine, absolute. */
export function remoteDirectories(machine: Machine, target: Target): string[] {
  try {
    const setup = setupOf(machine, target);
    return remotesOf(setup).flatMap((remote) => directoryOf(setup, remote) ?? []);
  } catch {
    return [];
  }
}

/** @param isThere whether a file below ~/.config is */
export function needsHomeToShip({ project }: Target, isThere: (path: string) => boolean): boolean {
  const { remotes, credentials, rcloneConfig } = project.config.offsite;
  if ([...remotes, credentials, rcloneConfig].some((path) => path?.startsWith('~/') === true)) return true;
  return isThere('cora/backup.env') || (remotes.length > 0 && isThere('rclone/rclone.conf'));
}
