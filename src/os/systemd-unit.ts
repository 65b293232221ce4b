// Unit files as text: quoting for each kind of setting, and the drop-in that ties a shipped unit to one
// project. Pure. Invariant: a path that systemd cannot take exactly is refused, never bent.

import { CoraError } from '../base/errors.ts';

/** What a drop-in of ours says about itself in its `[X-Cora]` section, which systemd passes over. */
export type UnitNote = {
  /** Absolute path of the project; undefined for cora-seal. */
  readonly project?: string | undefined;
  /** Owner of the vaults, for cora-seal. */
  readonly user?: string | undefined;
  /** Absolute path of the vault at the time of the installation. */
  readonly vault?: string | undefined;
  readonly launcher: string;
};

export type DropIn = UnitNote & {
  /** The command that writes it; `cora timers install` where it is not said. */
  readonly by?: string;
  /** Text of the unit that it belongs to; its command is kept, with the real launcher in front. */
  readonly unit: string;
  /** The service that systemd starts when this one has done its work. */
  readonly onSuccess?: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute; those that are not there are passed over when the service starts. Only for services of the system. */
  readonly writable: readonly string[];
  /** False where something of the service lies in a directory for temporary files. */
  readonly privateTmp: boolean;
};

/** The file name of our drop-in in `<unit>.d/`; `systemctl edit` writes override.conf, which comes later and wins. */
export const DROP_IN = '50-cora.conf';

const MARKER = '# Cora: ';

/** Settings that only the system's manager can follow (a user's manager has no such rights, or no such mounts). */
const SYSTEM_ONLY = /^(?:StateDirectory(?:Mode)?|CapabilityBoundingSet|Protect\w+|PrivateTmp|PrivateDevices|PrivateNetwork|KeyringMode)=/;

/** True for text that Cora wrote as a unit file or drop-in. */
export function isOurs(text: string): boolean {
  return text.startsWith(MARKER);
}

/** A shipped service without what a user's own manager cannot do, and without the comments on it. */
export function forUserManager(unit: string): string {
  const kept: string[] = [];
  let comments: string[] = [];
  for (const line of unit.split('\n')) {
    if (line.startsWith('#')) comments.push(line);
    else {
      if (!SYSTEM_ONLY.test(line)) kept.push(...comments, line);
      comments = [];
    }
  }
  return kept.join('\n');
}

function commandLine(unit: string, launcher: string): string {
  const command = /^ExecStart=\S+ (.+)$/m.exec(unit)?.[1];
  if (command === undefined) throw new RangeError('a shipped unit has no command');
  return `ExecStart=${executable(launcher)} ${command}`;
}

/** A drop-in of ours that starts another installation of Cora, and is else as it was. */
export function repointed(content: string, unit: string, launcher: string): string {
  return content
    .replace(/^Launcher=.*$/m, () => `Launcher=${JSON.stringify(launcher)}`)
    .replace(/^ExecStart=".*$/m, () => commandLine(unit, launcher));
}

export function formatDropIn(dropIn: DropIn): string {
  const { project, user, vault, launcher } = dropIn;
  const note = Object.entries({ Project: project, User: user, Vault: vault, Launcher: launcher });
  return [
    `${MARKER}what belongs to this machine. Written by \`${dropIn.by ?? 'cora timers install'}\`, which writes it again: own settings go into \`systemctl edit\`.`,
    '[X-Cora]',
    ...note.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${JSON.stringify(value)}`])),
    '',
    ...(dropIn.onSuccess === undefined ? [] : ['[Unit]', `OnSuccess=${specifiers(dropIn.onSuccess)}`, '']),
    '[Service]',
    'ExecStart=',
    commandLine(dropIn.unit, launcher),
    ...(user === undefined ? [] : [`User=${specifiers(user)}`]),
    // A slash at the end keeps a last space or backslash from being read as systemd reads them.
    ...(project === undefined ? [] : [`WorkingDirectory=${specifiers(plainText(project))}/`]),
    ...Object.entries(dropIn.environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    ...dropIn.writable.map((path) => `ReadWritePaths=${quoted(`-${path}`)}`),
    ...(dropIn.privateTmp ? [] : ['PrivateTmp=no']),
    '',
  ].join('\n');
}

/** The drop-in of a socket. @param listen `127.0.0.1:PORT`, or an absolute path */
export function formatListen(listen: string): string {
  return [
    `${MARKER}where it listens. Written by \`cora serve --install\`, which writes it again: own settings go into \`systemctl edit\`.`,
    '[Socket]',
    'ListenStream=',
    `ListenStream=${specifiers(plainText(listen))}`,
    '',
  ].join('\n');
}

/** What a drop-in of ours says about itself; undefined for any other text. */
export function parseDropIn(content: string): UnitNote | undefined {
  if (!isOurs(content)) return undefined;
  const value = (key: string): string | undefined => {
    try {
      const parsed: unknown = JSON.parse(new RegExp(`^${key}=(".*")$`, 'm').exec(content)?.[1] ?? 'null');
      return typeof parsed === 'string' ? parsed : undefined;
    } catch {
      return undefined;
    }
  };
  const launcher = value('Launcher');
  return launcher === undefined ? undefined : { launcher, project: value('Project'), user: value('User'), vault: value('Vault') };
}

/** @throws CoraError project_refused for a path that no unit file and no crontab can hold */
export function plainText(path: string): string {
  if (/[\x00-\x1f\x7f\ufffd]/.test(path)) {
    throw new CoraError('project_refused', `${JSON.stringify(path)} has characters that neither systemd nor cron can take`, {
      hint: 'rename it, or run cora save from a program of your own',
    });
  }
  return path;
}

function specifiers(value: string): string {
  return value.replaceAll('%', '%%');
}

function quoted(value: string): string {
  return `"${specifiers(plainText(value)).replace(/["\\]/g, '\\$&')}"`;
}

/** The program itself: systemd takes no quotes or backslashes in it; the colon keeps `$` what it is. */
function executable(path: string): string {
  if (/["'\\]/.test(plainText(path))) {
    throw new CoraError('project_refused', `systemd cannot start a program whose path has quotes or backslashes: ${path}`, {
      hint: 'install Cora elsewhere, for example with scripts/install.sh',
    });
  }
  return `":${specifiers(path)}"`;
}
