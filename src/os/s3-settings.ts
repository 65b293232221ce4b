// From an rclone remote to what the small S3 client needs: its options are those of rclone's configuration (`rclone config dump`)
// and of the environment that rclone gets, which wins. What cannot be known is said, not guessed.

import type { S3Settings } from './s3.ts';

/** rclone's options of one remote: `type`, `endpoint`, ... */
export type RemoteOptions = Readonly<Record<string, string>>;

/**
 * `s3`: where the remote's directory lies, the prefix without slashes at its ends; `other`: a remote that has no such thing as
 * Object Lock (`kind`: rclone's type); `unknown`: and why.
 */
export type S3Place =
  | { readonly kind: 's3'; readonly settings: S3Settings; readonly bucket: string; readonly prefix: string }
  | { readonly kind: 'other'; readonly type: string }
  | { readonly kind: 'unknown'; readonly why: string };

/** Providers that know no bucket in the path (rclone's own list). */
const HOST_STYLE: readonly string[] = ['Alibaba', 'HuaweiOBS', 'TencentCOS', 'Netease'];
const MAX_ALIASES = 4;

/**
 * Where `name:bucket/path` or a local path lies.
 * @param environment what rclone is started with (`RCLONE_CONFIG_NAME_OPTION`)
 * @param configuration by name, as `rclone config dump` prints it
 */
export function s3PlaceOf(
  remote: string,
  environment: Readonly<Record<string, string>>,
  configuration: Readonly<Record<string, RemoteOptions>>,
  depth = 0,
): S3Place {
  if (remote.startsWith('/')) return { kind: 'other', type: 'local' };
  const colon = remote.indexOf(':');
  const name = colon === -1 ? '' : remote.slice(0, colon);
  if (name === '' || /[,/]/.test(name)) return { kind: 'unknown', why: 'the remote is no name:bucket/path' };
  const path = remote.slice(colon + 1);
  const options = { ...sectionOf(configuration, name), ...optionsOf(environment, name) };
  const type = options['type'];
  if (type === undefined) return { kind: 'unknown', why: `rclone's configuration has no remote ${name}` };
  if (type === 'alias') {
    if (depth === MAX_ALIASES) return { kind: 'unknown', why: 'an alias of an alias without end' };
    const target = options['remote'] ?? '';
    return s3PlaceOf(target.endsWith(':') || path === '' ? `${target}${path}` : `${target}/${path}`, environment, configuration, depth + 1);
  }
  if (WRAPPERS.includes(type)) return { kind: 'unknown', why: `the remote is of type ${type}, and what lies below it is not asked` };
  if (type !== 's3') return { kind: 'other', type };
  const settings = settingsOf(options);
  const [bucket = '', ...rest] = path.split('/').filter((part) => part !== '');
  if (bucket === '') return { kind: 'unknown', why: 'the remote names no bucket' };
  return 'why' in settings ? { kind: 'unknown', why: settings.why } : { kind: 's3', settings, bucket, prefix: rest.join('/') };
}

const WRAPPERS: readonly string[] = ['crypt', 'chunker', 'combine', 'union', 'compress', 'hasher', 'cache'];

function settingsOf(options: RemoteOptions): S3Settings | { readonly why: string } {
  const { access_key_id: accessKeyId = '', secret_access_key: secretAccessKey = '', session_token: sessionToken = '', provider = '' } = options;
  // Then the keys come from the environment, a file of AWS or the machine's own service.
  if (options['env_auth'] === 'true' && (accessKeyId === '' || secretAccessKey === ''))
    return { why: 'rclone takes the keys of this remote from elsewhere (env_auth)' };
  if (accessKeyId === '' || secretAccessKey === '') return { why: 'the remote has no keys' };
  if (options['v2_auth'] === 'true' || options['region'] === 'other-v2-signature') return { why: 'the remote uses signatures of version 2' };
  const region = options['region'] === undefined || options['region'] === '' ? 'us-east-1' : options['region'];
  const given = options['endpoint'] ?? '';
  if (given === '' && provider !== 'AWS' && provider !== '') return { why: 'the remote has no endpoint' };
  const endpoint = given === '' ? `https://s3.${region}.amazonaws.com` : given.includes('://') ? given : `https://${given}`;
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) return { why: 'the endpoint of the remote is no address' };
  const pathStyle = !HOST_STYLE.includes(provider) && options['force_path_style'] !== 'false';
  return { endpoint, region, accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }), pathStyle };
}

/** `RCLONE_CONFIG_MY_REMOTE_ACCESS_KEY_ID`: the name in capitals, with underscores for its dashes. */
function optionsOf(environment: Readonly<Record<string, string>>, name: string): RemoteOptions {
  const prefix = `RCLONE_CONFIG_${name.toUpperCase().replaceAll('-', '_')}_`;
  const mine = Object.entries(environment).filter(([key]) => key.startsWith(prefix));
  return Object.fromEntries(mine.map(([key, value]) => [key.slice(prefix.length).toLowerCase(), value]));
}

/** rclone finds a name in whatever case. */
function sectionOf(configuration: Readonly<Record<string, RemoteOptions>>, name: string): RemoteOptions {
  const found = Object.entries(configuration).find(([one]) => one.toLowerCase() === name.toLowerCase());
  return found?.[1] ?? {};
}
