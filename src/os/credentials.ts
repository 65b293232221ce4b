// Where the keys of a remote come from: the file with SPACES_* (CORA-12), a systemd credential, rclone's own configuration. They go
// to rclone by file or environment, never into arguments; `secrets` is what must not be in any text that we print or keep.

import { readFileSync, statSync } from 'node:fs';
import { CoraError, errnoOf, messageOf } from '../base/errors.ts';

/** What of the process decides where keys are looked for; read once by the command line. */
export type CredentialPlaces = {
  readonly home: string | undefined;
  /** systemd's $CREDENTIALS_DIRECTORY. */
  readonly credentialsDirectory: string | undefined;
};

export type Credentials = {
  /** The environment that rclone gets. */
  readonly env: Readonly<Record<string, string>>;
  /** Values that are taken out of every message. */
  readonly secrets: readonly string[];
  /** `spaces:<bucket>` where SPACES_* and BACKUP_BUCKET say so. */
  readonly defaultRemote: string | undefined;
  /** The S3 settings of the remote `spaces` where they come from SPACES_*. */
  readonly spaces: SpacesKeys | undefined;
  /** rclone's configuration; undefined where there is none. */
  readonly rcloneConfig: string | undefined;
  /** What a person ought to know: a key file that others can read. */
  readonly warnings: readonly string[];
};

export type SpacesKeys = { readonly accessKey: string; readonly secretKey: string; readonly endpoint: string; readonly region: string };

/** A value shorter than this is no secret, and taking it out would tear sentences. */
const SHORTEST_SECRET = 6;

/**
 * @param configured `[offsite] credentials` and `rclone_config`, absolute
 * @throws CoraError config_invalid where a file that was named cannot be read, or has a line that is no KEY=VALUE
 */
export function readCredentials(
  configured: { readonly credentials?: string | undefined; readonly rcloneConfig?: string | undefined },
  places: CredentialPlaces,
): Credentials {
  const { home, credentialsDirectory } = places;
  const warnings: string[] = [];
  const file = firstThere(configured.credentials, [
    ...(credentialsDirectory === undefined ? [] : [`${credentialsDirectory}/backup.env`]),
    '/etc/cora/backup.env',
    ...(home === undefined ? [] : [`${home}/.config/cora/backup.env`]),
  ]);
  const config = firstThere(configured.rcloneConfig, [
    ...(credentialsDirectory === undefined ? [] : [`${credentialsDirectory}/rclone.conf`]),
    ...(home === undefined ? [] : [`${home}/.config/rclone/rclone.conf`]),
  ]);
  for (const one of [file, config]) if (one?.isShared === true) warnings.push(`Everybody may read ${one.path}: chmod 600 ${one.path}`);
  const values = file === undefined ? {} : parseEnvFile(file.text, file.path);
  const {
    SPACES_ACCESS_KEY: accessKey,
    SPACES_SECRET_KEY: secretKey,
    SPACES_ENDPOINT: endpoint,
    SPACES_REGION: region,
    BACKUP_BUCKET: bucket,
  } = values;
  const spaces =
    accessKey !== undefined && secretKey !== undefined && endpoint !== undefined
      ? { accessKey, secretKey, endpoint: /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`, region: region ?? 'us-east-1' }
      : undefined;
  return {
    env: {
      RCLONE_CONFIG: config?.path ?? '/dev/null',
      ...(home === undefined ? {} : { HOME: home }),
      ...(spaces === undefined ? {} : spacesEnv(spaces)),
    },
    secrets: [
      ...Object.entries(values)
        .filter(([name]) => name !== 'BACKUP_BUCKET' && !/ENDPOINT|REGION/.test(name))
        .map(([, value]) => value),
      passwordIn(spaces?.endpoint ?? '') ?? '',
      ...secretsOf(config?.text ?? ''),
    ]
      .filter((value) => value.length >= SHORTEST_SECRET)
      .sort((a, b) => b.length - a.length),
    defaultRemote: spaces !== undefined && bucket !== undefined && bucket !== '' ? `spaces:${bucket}` : undefined,
    spaces,
    rcloneConfig: config?.path,
    warnings,
  };
}

/** rclone's way to have a remote from the environment alone (https://rclone.org/docs/#environment-variables). */
function spacesEnv({ accessKey, secretKey, endpoint, region }: SpacesKeys): Record<string, string> {
  return {
    RCLONE_CONFIG_SPACES_TYPE: 's3',
    RCLONE_CONFIG_SPACES_PROVIDER: 'Other',
    RCLONE_CONFIG_SPACES_ENV_AUTH: 'false',
    RCLONE_CONFIG_SPACES_ACCESS_KEY_ID: accessKey,
    RCLONE_CONFIG_SPACES_SECRET_ACCESS_KEY: secretKey,
    RCLONE_CONFIG_SPACES_ENDPOINT: endpoint,
    RCLONE_CONFIG_SPACES_REGION: region,
    RCLONE_CONFIG_SPACES_FORCE_PATH_STYLE: 'true',
    RCLONE_CONFIG_SPACES_ACL: 'private',
  };
}

type Found = { readonly path: string; readonly text: string; readonly isShared: boolean };

/** The file that was named, which must be there, or the first of the usual places that we may read. */
function firstThere(named: string | undefined, usual: readonly string[]): Found | undefined {
  for (const path of named === undefined ? usual : [named]) {
    try {
      return { path, text: readFileSync(path, 'utf8'), isShared: (statSync(path).mode & 0o004) !== 0 };
    } catch (error) {
      if (named !== undefined) {
        throw new CoraError('config_invalid', `${path} cannot be read: ${messageOf(error)}`, {
          hint: 'correct [offsite] credentials or rclone_config, or make the file',
          cause: error,
        });
      }
      if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) throw error;
    }
  }
  return undefined;
}

/**
 * KEY=VALUE lines as systemd's EnvironmentFile and a shell both read them: `export` is allowed, quotes go, `#` begins a comment.
 * @throws CoraError config_invalid; the message names the line's number and never what is in it
 */
export function parseEnvFile(text: string, path: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const match = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (match === null) {
      throw new CoraError('config_invalid', `Line ${at + 1} of ${path} is not KEY=VALUE`, {
        hint: 'correct that line; docs/offsite.md has an example',
      });
    }
    const value = match[2] ?? '';
    const quoted = /^(["'])(.*)\1$/.exec(value);
    values[match[1] ?? ''] = quoted?.[2] ?? value;
  }
  return values;
}

/** Names of rclone's options whose values are keys, or hold them. */
const SECRET_OPTION = /key|secret|pass|token|account|sas|credential|connection_string|cookie/;

/**
 * Values of an rclone configuration that may be keys; its passwords are only obscured, which anybody undoes. A line that is none of
 * its own is quoted by rclone's error, so all of it counts.
 */
function secretsOf(text: string): string[] {
  return text.split('\n').flatMap((raw) => {
    const line = raw.trim();
    if (line === '' || /^[#;]|^\[.*\]$/.test(line)) return [];
    const [, name, value = ''] = /^([A-Za-z0-9_]+)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (name === undefined) return [line, ...line.split(/\s+/).slice(1)];
    const inUrl = passwordIn(value);
    const plain = value.replace(/^(["'`])(.*)\1$/, '$2');
    // A token is a JSON object of several.
    const inJson = [...value.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? '');
    return [...(inUrl === undefined ? [] : [inUrl]), ...(SECRET_OPTION.test(name.toLowerCase()) ? [value, plain, ...inJson] : [])];
  });
}

/** `https://user:password@host`. */
function passwordIn(url: string): string | undefined {
  return /:\/\/[^/\s:@]*:([^/\s@]+)@/.exec(url)?.[1];
}

/** A text without any of the secrets. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) clean = clean.replaceAll(secret, '***').replaceAll(encodeURIComponent(secret), '***');
  return clean;
}
