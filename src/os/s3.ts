// A small S3 client for what rclone 1.60 cannot ask: Object Lock, versions, retention. Requests are
// signed by aws4fetch and sent once each, with a time limit; no proxy, no environment plays a part.
// Invariant: an answer that is not what S3 says for that question is `unclear`, never taken for a yes or a no.
// Only a server's error code is handed on: its messages hold what was signed.

import { createHash } from 'node:crypto';
import type { Agent } from 'node:http';
import type { AwsV4Signer } from 'aws4fetch';
import { type Answer, probe } from './http-probe.ts';
import { type Element, escapeXml, parseXml, textOf } from './s3-xml.ts';

export type S3Settings = {
  /** `https://host` or `http://host:port`; a path in it stands before the bucket. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** The bucket in the path and not in the host's name. */
  readonly pathStyle: boolean;
};

/**
 * Why there is no answer. `absent`: the bucket, object or version is not there; `unset`: it is there and has no such setting;
 * `denied`: this key may not ask; `unsupported`: the server says that it does not know the question; `unclear`: anything else.
 */
export type S3Failure = { readonly failed: 'absent' | 'unset' | 'denied' | 'unsupported' | 'unclear'; readonly why: string };

export type LockMode = 'GOVERNANCE' | 'COMPLIANCE';
export type Retention = { readonly mode: LockMode; readonly until: Date };
export type LockRule = { readonly mode: LockMode; readonly days?: number; readonly years?: number };

export type ObjectHead = {
  readonly size: number;
  readonly etag: string;
  readonly versionId: string | undefined;
  readonly modified: Date | undefined;
  /** As the headers say; undefined also where the key may not read it. */
  readonly retention: Retention | undefined;
};

export type ObjectVersion = {
  readonly key: string;
  readonly versionId: string;
  readonly latest: boolean;
  readonly deleteMarker: boolean;
  /** 0 for a delete marker. */
  readonly size: number;
};

export type S3 = {
  /** The default rule of a bucket that has Object Lock (undefined: it has no rule); `unset` where it has no Object Lock. */
  readonly objectLock: (bucket: string) => Promise<S3Failure | { readonly rule: LockRule | undefined }>;
  readonly versioning: (bucket: string) => Promise<S3Failure | 'Enabled' | 'Suspended' | 'never'>;
  readonly head: (bucket: string, key: string, versionId?: string) => Promise<S3Failure | ObjectHead>;
  readonly retention: (bucket: string, key: string, versionId?: string) => Promise<S3Failure | Retention>;
  /**
   * Sets it. ONLY on a bucket whose `objectLock` did not fail: Swift takes this request for an upload of the object, answers 200,
   * and the object's content is gone. Never asks to pass over a governance lock.
   */
  readonly setRetention: (bucket: string, key: string, versionId: string | undefined, retention: Retention) => Promise<S3Failure | 'set'>;
  /** Every version below the prefix, 100,000 at most. */
  readonly versions: (bucket: string, prefix: string) => Promise<S3Failure | readonly ObjectVersion[]>;
  /** Ends the connections that are kept. */
  readonly close: () => void;
};

export type S3Options = {
  readonly signal: AbortSignal;
  /** Milliseconds for each request; default 15 s. */
  readonly timeout?: number;
};

type Query = Readonly<Record<string, string | undefined>>;
type Request = {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  readonly bucket: string;
  readonly key?: string;
  readonly query?: Query;
  readonly body?: string;
};
type Reply = { readonly answer: Answer };

const TIMEOUT_MS = 15_000;
/** More than any copy has objects; a listing that goes on is a server that turns in a circle. */
const MAX_PAGES = 100;

export function isFailure(answer: unknown): answer is S3Failure {
  return typeof answer === 'object' && answer !== null && 'failed' in answer;
}

/**
 * A client for one server. Nothing is sent before the first question.
 * @throws Error where the endpoint is no http or https address
 */
export async function openS3(settings: S3Settings, options: S3Options): Promise<S3> {
  const [{ AwsV4Signer: Signer }, http, https] = await Promise.all([import('aws4fetch'), import('node:http'), import('node:https')]);
  const base = new URL(settings.endpoint);
  if (!/^https?:$/.test(base.protocol)) throw new Error('the endpoint is no http or https address');
  const agent: Agent = new (base.protocol === 'https:' ? https : http).Agent({ keepAlive: true, maxSockets: 16 });
  const ask = (request: Request) => send(request, settings, base, Signer, agent, options);
  return {
    objectLock: async (bucket) => objectLockOf(await ask({ method: 'GET', bucket, query: { 'object-lock': '' } })),
    versioning: async (bucket) => versioningOf(await ask({ method: 'GET', bucket, query: { versioning: '' } })),
    head: async (bucket, key, versionId) => headOf(await ask({ method: 'HEAD', bucket, key, query: { versionId } })),
    retention: async (bucket, key, versionId) => retentionOf(await ask({ method: 'GET', bucket, key, query: { retention: '', versionId } })),
    setRetention: async (bucket, key, versionId, { mode, until }) => {
      const date = until.toISOString().replace(/\.\d+Z$/, 'Z');
      const body = `<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>${mode}</Mode><RetainUntilDate>${escapeXml(date)}</RetainUntilDate></Retention>`;
      const reply = await ask({ method: 'PUT', bucket, key, query: { retention: '', versionId }, body });
      if ('failed' in reply) return reply;
      if (reply.answer.status !== 200) return failureOf(reply.answer);
      return reply.answer.headers.etag === undefined ? 'set' : { failed: 'unclear', why: 'the server took the request for an upload of the object' };
    },
    versions: (bucket, prefix) => listVersions(ask, bucket, prefix),
    close: () => agent.destroy(),
  };
}

async function send(
  { method, bucket, key, query = {}, body }: Request,
  settings: S3Settings,
  base: URL,
  Signer: typeof AwsV4Signer,
  agent: Agent,
  options: S3Options,
): Promise<S3Failure | Reply> {
  // A URL would swallow such parts, and another object would be asked for.
  if (key?.split('/').some((part) => part === '.' || part === '..') === true) return { failed: 'unclear', why: 'a name holds . or ..' };
  const host = settings.pathStyle ? base.host : `${bucket}.${base.host}`;
  const path = [settings.pathStyle ? bucket : '', key ?? ''].filter((part) => part !== '').join('/');
  const url = new URL(`${base.protocol}//${host}${base.pathname.replace(/\/$/, '')}/${path.split('/').map(encode).join('/')}`);
  url.search = Object.entries(query)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encode(value)}`]))
    .join('&');
  const { accessKeyId, secretAccessKey, sessionToken, region } = settings;
  const signer = new Signer({
    method,
    url: url.href,
    headers: {
      'x-amz-content-sha256': createHash('sha256')
        .update(body ?? '')
        .digest('hex'),
      ...(body === undefined ? {} : { 'content-md5': createHash('md5').update(body).digest('base64') }),
    },
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    service: 's3',
    region,
  });
  try {
    const headers = Object.fromEntries((await signer.sign()).headers);
    const { signal, timeout = TIMEOUT_MS } = options;
    return { answer: await probe({ url: url.href, method, headers, ...(body === undefined ? {} : { body }), timeout, signal, agent }) };
  } catch (error) {
    if (options.signal.aborted) throw error;
    return { failed: 'unclear', why: error instanceof Error ? error.message : 'no answer' };
  }
}

function objectLockOf(reply: S3Failure | Reply): S3Failure | { readonly rule: LockRule | undefined } {
  const root = rootOf(reply, 'ObjectLockConfiguration');
  if ('failed' in root) return root;
  if (textOf(root, 'ObjectLockEnabled') !== 'Enabled') return { failed: 'unclear', why: 'the answer about Object Lock does not say Enabled' };
  const rules = root.children.filter(({ name }) => name === 'Rule');
  if (rules.length === 0) return { rule: undefined };
  const retention = rules[0]?.children.find(({ name }) => name === 'DefaultRetention');
  const mode = retention && modeOf(textOf(retention, 'Mode'));
  const [days, years] = ['Days', 'Years'].map((unit) => countOf(retention && textOf(retention, unit)));
  if (rules.length > 1 || mode === undefined || (days === undefined) === (years === undefined))
    return { failed: 'unclear', why: 'the default rule of Object Lock cannot be read' };
  return { rule: { mode, ...(days === undefined ? {} : { days }), ...(years === undefined ? {} : { years }) } };
}

function versioningOf(reply: S3Failure | Reply): S3Failure | 'Enabled' | 'Suspended' | 'never' {
  const root = rootOf(reply, 'VersioningConfiguration');
  if ('failed' in root) return root;
  const status = textOf(root, 'Status') ?? 'never';
  const known = (['Enabled', 'Suspended', 'never'] as const).find((one) => one === status);
  return known ?? { failed: 'unclear', why: 'the answer about versions cannot be read' };
}

function headOf(reply: S3Failure | Reply): S3Failure | ObjectHead {
  if ('failed' in reply) return reply;
  const { status, headers } = reply.answer;
  const size = countOf(headers['content-length'], 0);
  if (status !== 200) return failureOf(reply.answer);
  if (size === undefined || headers.etag === undefined) return { failed: 'unclear', why: 'the answer about an object has no size or no ETag' };
  const until = dateOf(oneHeader(headers['x-amz-object-lock-retain-until-date']));
  const mode = modeOf(oneHeader(headers['x-amz-object-lock-mode']));
  return {
    size,
    etag: headers.etag,
    versionId: oneHeader(headers['x-amz-version-id']),
    modified: dateOf(headers['last-modified']),
    retention: mode === undefined || until === undefined ? undefined : { mode, until },
  };
}

function retentionOf(reply: S3Failure | Reply): S3Failure | Retention {
  // Swift overlooks the question and sends the object, which may hold just such a document.
  if ('answer' in reply && reply.answer.headers.etag !== undefined)
    return { failed: 'unclear', why: 'the server sends the object and not its retention' };
  const root = rootOf(reply, 'Retention');
  if ('failed' in root) return root;
  const mode = modeOf(textOf(root, 'Mode'));
  const until = dateOf(textOf(root, 'RetainUntilDate'));
  return mode === undefined || until === undefined ? { failed: 'unclear', why: 'the answer about a retention cannot be read' } : { mode, until };
}

async function listVersions(ask: (request: Request) => Promise<S3Failure | Reply>, bucket: string, prefix: string) {
  const found: ObjectVersion[] = [];
  let [keyMarker, versionMarker]: [string | undefined, string | undefined] = [undefined, undefined];
  for (let page = 0; page < MAX_PAGES; page++) {
    const query = { versions: '', prefix, 'key-marker': keyMarker, 'version-id-marker': versionMarker };
    const root = rootOf(await ask({ method: 'GET', bucket, query }), 'ListVersionsResult');
    if ('failed' in root) return root;
    for (const child of root.children) {
      if (child.name !== 'Version' && child.name !== 'DeleteMarker') continue;
      const version = versionOf(child);
      if (version === undefined || !version.key.startsWith(prefix)) return { failed: 'unclear', why: 'the list of versions cannot be read' } as const;
      found.push(version);
    }
    if (textOf(root, 'IsTruncated') !== 'true') return found;
    const before = keyMarker;
    keyMarker = textOf(root, 'NextKeyMarker');
    versionMarker = textOf(root, 'NextVersionIdMarker');
    if (keyMarker === undefined || (before !== undefined && keyMarker < before && versionMarker === undefined)) break;
  }
  return { failed: 'unclear', why: 'the list of versions does not end' } as const;
}

function versionOf(element: Element): ObjectVersion | undefined {
  const [key, versionId, latest] = [textOf(element, 'Key'), textOf(element, 'VersionId'), textOf(element, 'IsLatest')];
  const deleteMarker = element.name === 'DeleteMarker';
  const size = deleteMarker ? 0 : countOf(textOf(element, 'Size'), 0);
  if (key === undefined || versionId === undefined || size === undefined || (latest !== 'true' && latest !== 'false')) return undefined;
  return { key, versionId, latest: latest === 'true', deleteMarker, size };
}

/** The answer's document where it is the one that was asked for. */
function rootOf(reply: S3Failure | Reply, name: string): S3Failure | Element {
  if ('failed' in reply) return reply;
  if (reply.answer.status !== 200) return failureOf(reply.answer);
  const root = parseXml(reply.answer.body);
  return root?.name === name ? root : { failed: 'unclear', why: 'the server answers with something else than S3 does' };
}

const ABSENT: readonly string[] = ['NoSuchBucket', 'NoSuchKey', 'NoSuchVersion', 'NotFound'];
const UNSET: readonly string[] = ['ObjectLockConfigurationNotFoundError', 'NoSuchObjectLockConfiguration'];
const UNSUPPORTED: readonly string[] = ['NotImplemented', 'MethodNotAllowed'];
const DENIED: readonly string[] = ['AccessDenied', 'AllAccessDisabled', 'AccountProblem'];

function failureOf({ status, body, headers }: Answer): S3Failure {
  const root = parseXml(body);
  const given = root?.name === 'Error' ? textOf(root, 'Code') : undefined;
  const code = given !== undefined && /^[A-Za-z][A-Za-z.]{0,63}$/.test(given) ? given : undefined;
  const region = oneHeader(headers['x-amz-bucket-region']) ?? (root && textOf(root, 'Region'));
  const wanted =
    region !== undefined && /^[a-z0-9-]{1,40}$/.test(region) && (status === 301 || status === 400) ? `, the bucket is in region ${region}` : '';
  const why = `the server answers ${status}${code === undefined ? '' : ` ${code}`}${wanted}`;
  // A HEAD has no document: there the status is all there is.
  const bare = code === undefined && body === '';
  if ((code !== undefined && ABSENT.includes(code)) || (bare && status === 404)) return { failed: 'absent', why };
  if (code !== undefined && UNSET.includes(code)) return { failed: 'unset', why };
  if (code !== undefined && UNSUPPORTED.includes(code)) return { failed: 'unsupported', why };
  if ((code !== undefined && DENIED.includes(code)) || (bare && status === 403)) return { failed: 'denied', why };
  return { failed: 'unclear', why };
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

function modeOf(text: string | undefined): LockMode | undefined {
  return text === 'GOVERNANCE' || text === 'COMPLIANCE' ? text : undefined;
}

function countOf(text: string | undefined, least = 1): number | undefined {
  const count = text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : -1;
  return count >= least ? count : undefined;
}

function dateOf(text: string | undefined): Date | undefined {
  const date = text === undefined ? undefined : new Date(text);
  return date === undefined || Number.isNaN(date.getTime()) ? undefined : date;
}

function oneHeader(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
