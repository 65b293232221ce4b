// One signed request to an S3 server, for what neither rclone nor Cora asks: buckets with Object Lock, policies, deletes of
// a version, and what a thief with the shipping key would try.

import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import type { Endpoint } from './remotes.ts';

export type S3Request = {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  /** Bucket, key and query as they stand in the URL. */
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Status and body of the answer. */
export async function askS3(
  server: Endpoint,
  { method, path, body, headers }: S3Request,
): Promise<{ readonly status: number; readonly text: string }> {
  const digests = {
    'x-amz-content-sha256': createHash('sha256')
      .update(body ?? '')
      .digest('hex'),
    ...(body === undefined ? {} : { 'content-md5': createHash('md5').update(body).digest('base64') }),
  };
  const url = `${server.endpoint}/${path}`;
  const keys = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey, service: 's3', region: 'us-east-1' };
  const signed = await new AwsV4Signer({ method, url, headers: { ...digests, ...headers }, ...keys }).sign();
  const answer = await fetch(signed.url, { method, headers: signed.headers, ...(body === undefined ? {} : { body }) });
  return { status: answer.status, text: await answer.text() };
}

/** A bucket with Object Lock; `days`: its rule for what comes in. */
export async function makeLockBucket(
  server: Endpoint,
  bucket: string,
  days?: number,
  mode: 'COMPLIANCE' | 'GOVERNANCE' = 'COMPLIANCE',
): Promise<void> {
  const made = await askS3(server, { method: 'PUT', path: bucket, headers: { 'x-amz-bucket-object-lock-enabled': 'true' } });
  if (made.status !== 200) throw new Error(`No bucket: ${made.status} ${made.text}`);
  if (days === undefined) return;
  const rule = `<Rule><DefaultRetention><Mode>${mode}</Mode><Days>${days}</Days></DefaultRetention></Rule>`;
  const body = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`;
  const ruled = await askS3(server, { method: 'PUT', path: `${bucket}?object-lock`, body });
  if (ruled.status !== 200) throw new Error(`No rule: ${ruled.status} ${ruled.text}`);
}
