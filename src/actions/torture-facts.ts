// What the ground is that `cora torture` tries: file system, mount options, kernel, device. Read from the kernel's own
// tables; what they do not tell is left out, never guessed.

import { readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { diskOf, mountedOn } from '../os/mounts.ts';

export type PlaceFacts = {
  readonly directory: string;
  /** `ext4`, `xfs`, `tmpfs`; `unknown` where the table of mounts cannot be read. */
  readonly file_system: string;
  readonly mount_point: string;
  readonly mount_options: string;
  readonly source: string;
  readonly kernel: string;
  /** The disk below it, and what it says of itself; null where it is not one block device. */
  readonly device: {
    readonly name: string;
    readonly model: string | null;
    readonly rotational: boolean | null;
    readonly write_cache: string | null;
  } | null;
};

/** @param directory absolute, there */
export function placeFacts(directory: string): PlaceFacts {
  const mount = mountedOn(directory);
  const disk = diskOf(statSync(directory).dev);
  return {
    directory,
    file_system: mount?.type ?? 'unknown',
    mount_point: mount?.mountPoint ?? '',
    mount_options: mount?.options ?? '',
    source: mount?.source ?? '',
    kernel: release(),
    device: disk.startsWith('device ') ? null : deviceFacts(disk),
  };
}

function deviceFacts(name: string): NonNullable<PlaceFacts['device']> {
  const rotational = attribute(name, 'queue/rotational');
  return {
    name,
    model: attribute(name, 'device/model') ?? null,
    rotational: rotational === undefined ? null : rotational === '1',
    write_cache: attribute(name, 'queue/write_cache') ?? null,
  };
}

function attribute(disk: string, name: string): string | undefined {
  try {
    return readFileSync(`/sys/class/block/${disk}/${name}`, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
