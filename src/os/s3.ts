// A small S3 client for what rclone 1.60 cannot ask: Object Lock, versions, retention. Requests are
// signed by aws4fetch and sent once each, with a time limit; no proxy, no environment plays a part.
// Invariant: retention is set only where the caller has seen that the bucket has Object Lock (see setRetention).

import { createHash } from 'node:crypto';
import type { Agent } from 'node:http';
import type { AwsV4Signer } from 'aws4fetch';
import { probe } from './http-probe.ts';
import {
  failureOf,
  headOf,
  type LockRule,
  type ObjectHead,
  type ObjectVersion,
  objectLockOf,
  type Reply,
  type Retention,
  retentionOf,
  rootOf,
  type S3Failure,
  unclear,
  versioningOf,
  versionOf,
} from './s3-answer.ts';
import { escapeXml, textOf } from './s3-xml.ts';

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

const TIMEOUT_MS = 15_000;
/** More than any copy has objects; a listing that goes on is a server that turns in a circle. */
const MAX_PAGES = 100;

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
      return reply.answer.headers.etag === undefined ? 'set' : unclear('the server took the request for an upload of the object');
    },
    versions: (bucket, prefix) => listVersions(ask, bucket, prefix),
    close: () => agent.destroy(),
  };
}

/** @throws TypeError, URIError for a bucket or key that no address can hold */
function addressOf({ bucket, key, query = {} }: Request, { pathStyle }: S3Settings, base: URL): URL {
  const host = pathStyle ? base.host : `${bucket}.${base.host}`;
  const path = [pathStyle ? bucket : '', key ?? ''].filter((part) => part !== '').join('/');
  const url = new URL(`${base.protocol}//${host}${base.pathname.replace(/\/$/, '')}/${path.split('/').map(encode).join('/')}`);
  url.search = Object.entries(query)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encode(value)}`]))
    .join('&');
  return url;
}

async function send(request: Request, settings: S3Settings, base: URL, Signer: typeof AwsV4Signer, agent: Agent, options: S3Options) {
  const { method, key, body } = request;
  // An address would swallow such parts, and another object would be asked for.
  if (key?.split('/').some((part) => part === '.' || part === '..') === true) return unclear('a name holds . or ..');
  let signed: { readonly url: string; readonly headers: Record<string, string> };
  try {
    const { headers, url } = await new Signer({
      method,
      url: addressOf(request, settings, base).href,
      headers: digestsOf(body),
      ...keysOf(settings),
      service: 's3',
      region: settings.region,
    }).sign();
    signed = { url: url.href, headers: Object.fromEntries(headers) };
  } catch {
    // What is wrong with a header is said with all that is in it.
    return unclear('the request cannot be made with these keys and this name');
  }
  const { signal, timeout = TIMEOUT_MS } = options;
  try {
    return { answer: await probe({ ...signed, method, ...(body === undefined ? {} : { body }), timeout, signal, agent }) };
  } catch (error) {
    if (signal.aborted) throw error;
    return unclear(error instanceof Error ? error.message : 'no answer');
  }
}

function keysOf({ accessKeyId, secretAccessKey, sessionToken }: S3Settings) {
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** S3 wants the MD5 of a retention. */
function digestsOf(body: string | undefined): Record<string, string> {
  const sha256 = createHash('sha256');
  sha256.update(body ?? '');
  const md5 = body === undefined ? {} : { 'content-md5': createHash('md5').update(body).digest('base64') };
  return { 'x-amz-content-sha256': sha256.digest('hex'), ...md5 };
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
      if (version === undefined || !version.key.startsWith(prefix)) return unclear('the list of versions cannot be read');
      found.push(version);
    }
    if (textOf(root, 'IsTruncated') !== 'true') return found;
    const before = keyMarker;
    keyMarker = textOf(root, 'NextKeyMarker');
    versionMarker = textOf(root, 'NextVersionIdMarker');
    if (keyMarker === undefined || (before !== undefined && keyMarker < before && versionMarker === undefined)) break;
  }
  return unclear('the list of versions does not end');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
