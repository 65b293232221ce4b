// What an S3 server's answers mean. Invariant: an answer that is not what S3 says for that question is `unclear`, never taken for a
// yes or a no. Only a server's error code is handed on: its messages hold what was signed.

import type { Answer } from './http-probe.ts';
import { type Element, parseXml, textOf } from './s3-xml.ts';

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

/** An answer that came, whatever it says. */
export type Reply = { readonly answer: Answer };

/** True for a failure of any question. */
export function isFailure(answer: unknown): answer is S3Failure {
  return typeof answer === 'object' && answer !== null && 'failed' in answer;
}

/** @param why a sentence without secrets */
export function unclear(why: string): S3Failure {
  return { failed: 'unclear', why };
}

/** GetObjectLockConfiguration: the default rule, undefined where the bucket has Object Lock and no rule. */
export function objectLockOf(reply: S3Failure | Reply): S3Failure | { readonly rule: LockRule | undefined } {
  const root = rootOf(reply, 'ObjectLockConfiguration');
  if ('failed' in root) return root;
  if (textOf(root, 'ObjectLockEnabled') !== 'Enabled') return unclear('the answer about Object Lock does not say Enabled');
  const rules = root.children.filter(({ name }) => name === 'Rule');
  if (rules.length === 0) return { rule: undefined };
  const retention = rules[0]?.children.find(({ name }) => name === 'DefaultRetention');
  const mode = retention && modeOf(textOf(retention, 'Mode'));
  const [days, years] = ['Days', 'Years'].map((unit) => countOf(retention && textOf(retention, unit)));
  if (rules.length > 1 || mode === undefined || (days === undefined) === (years === undefined))
    return unclear('the default rule of Object Lock cannot be read');
  return { rule: { mode, ...(days === undefined ? {} : { days }), ...(years === undefined ? {} : { years }) } };
}

/** GetBucketVersioning; `never`: it was never turned on. */
export function versioningOf(reply: S3Failure | Reply): S3Failure | 'Enabled' | 'Suspended' | 'never' {
  const root = rootOf(reply, 'VersioningConfiguration');
  if ('failed' in root) return root;
  const status = textOf(root, 'Status') ?? 'never';
  const known = (['Enabled', 'Suspended', 'never'] as const).find((one) => one === status);
  return known ?? unclear('the answer about versions cannot be read');
}

/** HEAD of an object: there is no document, the headers are all. */
export function headOf(reply: S3Failure | Reply): S3Failure | ObjectHead {
  if ('failed' in reply) return reply;
  const { status, headers } = reply.answer;
  const size = countOf(headers['content-length'], 0);
  if (status !== 200) return failureOf(reply.answer);
  if (size === undefined || headers.etag === undefined) return unclear('the answer about an object has no size or no ETag');
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

/** GetObjectRetention; `unset` where the object has none. */
export function retentionOf(reply: S3Failure | Reply): S3Failure | Retention {
  // Swift overlooks the question and sends the object, which may hold just such a document.
  if ('answer' in reply && reply.answer.headers.etag !== undefined) return unclear('the server sends the object and not its retention');
  const root = rootOf(reply, 'Retention');
  if ('failed' in root) return root;
  const mode = modeOf(textOf(root, 'Mode'));
  const until = dateOf(textOf(root, 'RetainUntilDate'));
  return mode === undefined || until === undefined ? unclear('the answer about a retention cannot be read') : { mode, until };
}

/** A row of ListObjectVersions; undefined where it cannot be read. */
export function versionOf(element: Element): ObjectVersion | undefined {
  const [key, versionId, latest] = [textOf(element, 'Key'), textOf(element, 'VersionId'), textOf(element, 'IsLatest')];
  const deleteMarker = element.name === 'DeleteMarker';
  const size = deleteMarker ? 0 : countOf(textOf(element, 'Size'), 0);
  if (key === undefined || versionId === undefined || size === undefined || (latest !== 'true' && latest !== 'false')) return undefined;
  return { key, versionId, latest: latest === 'true', deleteMarker, size };
}

/** The answer's document where it is the one that was asked for. */
export function rootOf(reply: S3Failure | Reply, name: string): S3Failure | Element {
  if ('failed' in reply) return reply;
  if (reply.answer.status !== 200) return failureOf(reply.answer);
  const root = parseXml(reply.answer.body);
  return root?.name === name ? root : unclear('the server answers with something else than S3 does');
}

const ABSENT: readonly string[] = ['NoSuchBucket', 'NoSuchKey', 'NoSuchVersion', 'NotFound'];
const UNSET: readonly string[] = ['ObjectLockConfigurationNotFoundError', 'NoSuchObjectLockConfiguration'];
const UNSUPPORTED: readonly string[] = ['NotImplemented', 'MethodNotAllowed'];
const DENIED: readonly string[] = ['AccessDenied', 'AllAccessDisabled', 'AccountProblem'];

/** What kind of no an answer is, by its error code alone; for a HEAD by its status. */
export function failureOf({ status, body, headers }: Answer): S3Failure {
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
