// A small S3 server on loopback for the quick tests: signatures (version 4) are checked as the real ones check them, an
// object is there whole or not at all, a bucket is never made by a write. It knows what rclone and a backup need: listings,
// ranges, multipart uploads, copies, deletes; for all else (versions, Object Lock) it says NotImplemented. Faults are fields.
// What only a real server proves is proven in test/offsite.

import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

type Stored = { readonly file: string; readonly size: number; readonly etag: string; readonly modified: Date; readonly meta: Record<string, string> };
type Upload = { readonly bucket: string; readonly key: string; readonly meta: Record<string, string>; readonly parts: Map<number, Stored> };
type Request = { readonly method: string; readonly bucket: string; readonly key: string; readonly query: URLSearchParams };

/** Ends a request with an error document. */
class S3Error extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

export class S3Server {
  readonly accessKey = 'CORALIGHT';
  readonly secretKey = `s3-canary-${randomBytes(12).toString('hex')}`;
  /** Object by bucket and key. */
  readonly buckets = new Map<string, Map<string, Stored>>();
  /** Method and path of each request, in order. */
  readonly requests: string[] = [];
  /** Bytes of objects and parts that fit; what would pass it is refused as a full account is. */
  quota = Number.POSITIVE_INFINITY;
  /** False: whoever signs may not delete, as with a key made for backups. */
  mayDelete = true;
  readonly #directory = mkdtempSync(join(tmpdir(), 'cora-s3-'));
  readonly #uploads = new Map<string, Upload>();
  readonly #server: Server;
  #files = 0;
  #bytes = 0;

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.requestTimeout = 0;
  }

  /** Starts with these buckets. */
  static async start(...buckets: readonly string[]): Promise<S3Server> {
    const server = new S3Server();
    for (const bucket of buckets) server.buckets.set(bucket, new Map());
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Keys of a bucket, sorted. */
  keys(bucket: string): string[] {
    return [...(this.buckets.get(bucket)?.keys() ?? [])].sort(byBytes);
  }

  read(bucket: string, key: string): Buffer {
    return readFileSync(this.#object(bucket, key).file);
  }

  /** Flips one byte in the middle; size, ETag and metadata stay as they were. */
  alter(bucket: string, key: string): void {
    const { file } = this.#object(bucket, key);
    const bytes = readFileSync(file);
    const at = bytes.length >> 1;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(file, bytes);
  }

  delete(bucket: string, key: string): void {
    this.#object(bucket, key);
    this.buckets.get(bucket)?.delete(key);
  }

  /** Uploads that were begun and neither completed nor aborted. */
  get pendingUploads(): number {
    return this.#uploads.size;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', this.endpoint);
      const [, bucket = '', ...rest] = url.pathname.split('/');
      const parsed = {
        method: request.method ?? '',
        bucket: decodeURIComponent(bucket),
        key: decodeURIComponent(rest.join('/')),
        query: url.searchParams,
      };
      this.requests.push(`${parsed.method} ${url.pathname}`);
      this.#checkSignature(request, url);
      await this.#route(parsed, request, response);
    } catch (error) {
      if (response.headersSent || request.destroyed) {
        response.destroy();
        return;
      }
      const { status, code } = error instanceof S3Error ? error : new S3Error(500, 'InternalError');
      // The body is read to its end first, as real servers do: a client that is still writing when the connection goes tells of
      // a broken connection instead of the refusal.
      await drained(request);
      if (request.destroyed && !request.complete) return void response.destroy();
      response.setHeader('connection', 'close');
      reply(response, status, request.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>${code}</Message></Error>`);
    }
  }

  async #route({ method, bucket, key, query }: Request, request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const name of ['object-lock', 'retention', 'legal-hold', 'versions', 'acl', 'policy', 'lifecycle', 'tagging', 'replication']) {
      if (query.has(name)) throw new S3Error(501, 'NotImplemented');
    }
    if (bucket === '') {
      const names = [...this.buckets.keys()].map(
        (name) => `<Bucket><Name>${name}</Name><CreationDate>${new Date(0).toISOString()}</CreationDate></Bucket>`,
      );
      return reply(response, 200, `<ListAllMyBucketsResult><Owner><ID>x</ID></Owner><Buckets>${names.join('')}</Buckets></ListAllMyBucketsResult>`);
    }
    if (key === '' && method === 'PUT') {
      this.buckets.set(bucket, this.buckets.get(bucket) ?? new Map());
      return reply(response, 200, '');
    }
    const objects = this.buckets.get(bucket);
    if (objects === undefined) throw new S3Error(404, 'NoSuchBucket');
    if (key === '') return this.#ofBucket(method, bucket, objects, query, request, response);
    const uploadId = query.get('uploadId');
    if (method === 'POST' && query.has('uploads')) {
      const id = randomBytes(8).toString('hex');
      this.#uploads.set(id, { bucket, key, meta: metaOf(request), parts: new Map() });
      return reply(
        response,
        200,
        `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${xmlText(key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    if (uploadId !== null) return this.#ofUpload(method, uploadId, objects, query, request, response);
    if (method === 'PUT' && request.headers['x-amz-copy-source'] !== undefined) {
      const [from = '', ...name] = decodeURIComponent(String(request.headers['x-amz-copy-source'])).replace(/^\//, '').split('/');
      const source = this.#object(from, name.join('/'));
      const meta = request.headers['x-amz-metadata-directive'] === 'REPLACE' ? metaOf(request) : source.meta;
      objects.set(key, { ...source, meta, modified: new Date() });
      return reply(
        response,
        200,
        `<CopyObjectResult><ETag>"${source.etag}"</ETag><LastModified>${new Date().toISOString()}</LastModified></CopyObjectResult>`,
      );
    }
    if (method === 'PUT') {
      const stored = await this.#receive(request);
      objects.set(key, stored);
      return reply(response, 200, '', { etag: `"${stored.etag}"` });
    }
    if (method === 'DELETE') {
      if (!this.mayDelete) throw new S3Error(403, 'AccessDenied');
      objects.delete(key);
      return reply(response, 204, '');
    }
    if (method !== 'GET' && method !== 'HEAD') throw new S3Error(405, 'MethodNotAllowed');
    return this.#send(method, this.#object(bucket, key), request, response);
  }

  #object(bucket: string, key: string): Stored {
    const stored = this.buckets.get(bucket)?.get(key);
    if (stored === undefined) throw new S3Error(404, 'NoSuchKey');
    return stored;
  }

  async #send(method: string, stored: Stored, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const meta = Object.fromEntries(Object.entries(stored.meta));
    const headers = { ...meta, etag: `"${stored.etag}"`, 'last-modified': stored.modified.toUTCString(), 'accept-ranges': 'bytes' };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = Number(range?.[1] ?? 0);
    const end = Math.min(stored.size - 1, range === null || range[2] === '' ? stored.size - 1 : Number(range[2]));
    if (range !== null && start >= stored.size) throw new S3Error(416, 'InvalidRange');
    const part = range === null ? {} : { 'content-range': `bytes ${start}-${end}/${stored.size}` };
    response.writeHead(range === null ? 200 : 206, { ...headers, ...part, 'content-length': end - start + 1 });
    if (method === 'HEAD' || stored.size === 0) {
      response.end();
      return;
    }
    await pipeline(createReadStream(stored.file, { start, end }), response);
  }

  async #ofBucket(
    method: string,
    bucket: string,
    objects: Map<string, Stored>,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (method === 'HEAD') return reply(response, 200, '');
    if (method === 'POST' && query.has('delete')) {
      const keys = [...(await textOf(request)).matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) => fromXml(match[1] ?? ''));
      if (!this.mayDelete) throw new S3Error(403, 'AccessDenied');
      for (const key of keys) objects.delete(key);
      return reply(response, 200, `<DeleteResult>${keys.map((key) => `<Deleted><Key>${xmlText(key)}</Key></Deleted>`).join('')}</DeleteResult>`);
    }
    if (method !== 'GET') throw new S3Error(501, 'NotImplemented');
    if (query.has('location')) return reply(response, 200, '<LocationConstraint>us-east-1</LocationConstraint>');
    if (query.has('versioning')) return reply(response, 200, '<VersioningConfiguration/>');
    if (query.has('uploads')) {
      const pending = [...this.#uploads].filter(([, upload]) => upload.bucket === bucket);
      const rows = pending.map(
        ([id, { key }]) => `<Upload><Key>${xmlText(key)}</Key><UploadId>${id}</UploadId><Initiated>${new Date().toISOString()}</Initiated></Upload>`,
      );
      return reply(response, 200, `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${rows.join('')}</ListMultipartUploadsResult>`);
    }
    return reply(response, 200, listing(bucket, objects, query));
  }

  async #ofUpload(
    method: string,
    id: string,
    objects: Map<string, Stored>,
    query: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const upload = this.#uploads.get(id);
    if (upload === undefined) throw new S3Error(404, 'NoSuchUpload');
    if (method === 'PUT') {
      const part = await this.#receive(request);
      upload.parts.set(Number(query.get('partNumber')), part);
      return reply(response, 200, '', { etag: `"${part.etag}"` });
    }
    if (method === 'DELETE') {
      this.#uploads.delete(id);
      return reply(response, 204, '');
    }
    if (method !== 'POST') throw new S3Error(405, 'MethodNotAllowed');
    const numbers = [...(await textOf(request)).matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map((match) => Number(match[1]));
    const file = this.#newFile();
    const parts = numbers.map((number) => upload.parts.get(number));
    const md5s = parts.map((part) => Buffer.from(part?.etag ?? '', 'hex'));
    const size = parts.reduce((sum, part) => sum + (part?.size ?? 0), 0);
    if (parts.includes(undefined)) throw new S3Error(400, 'InvalidPart');
    async function* joined(): AsyncGenerator<Buffer> {
      for (const part of parts) {
        yield* createReadStream(part?.file ?? '');
        rmSync(part?.file ?? '');
      }
    }
    await pipeline(joined, createWriteStream(file));
    const etag = `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${numbers.length}`;
    objects.set(upload.key, { file, size, etag, modified: new Date(), meta: upload.meta });
    this.#uploads.delete(id);
    return reply(
      response,
      200,
      `<CompleteMultipartUploadResult><Key>${xmlText(upload.key)}</Key><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>`,
    );
  }

  #newFile(): string {
    this.#files += 1;
    return join(this.#directory, String(this.#files));
  }

  /** The body as a stored file; a body that is cut, or differs from its own sums, is none. */
  async #receive(request: IncomingMessage): Promise<Stored> {
    if (this.#bytes + Number(request.headers['content-length'] ?? 0) > this.quota) throw new S3Error(403, 'QuotaExceeded');
    const file = this.#newFile();
    const [md5, sha256] = [createHash('md5'), createHash('sha256')];
    const sums = new Transform({
      transform(chunk: Buffer, _encoding, done): void {
        md5.update(chunk);
        sha256.update(chunk);
        done(null, chunk);
      },
    });
    try {
      await pipeline(request, sums, createWriteStream(file));
      const said = { md5: request.headers['content-md5'], sha256: String(request.headers['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD') };
      const digest = md5.digest();
      if (said.md5 !== undefined && said.md5 !== digest.toString('base64')) throw new S3Error(400, 'BadDigest');
      if (!said.sha256.startsWith('UNSIGNED') && said.sha256 !== sha256.digest('hex')) throw new S3Error(400, 'XAmzContentSHA256Mismatch');
      const { size } = statSync(file);
      this.#bytes += size;
      return { file, size, etag: digest.toString('hex'), modified: new Date(), meta: metaOf(request) };
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    }
  }

  /** Signature version 4, in the header or in the query (rclone signs single uploads that way). */
  #checkSignature(request: IncomingMessage, url: URL): void {
    const query = url.searchParams;
    const header = request.headers.authorization ?? '';
    const presigned = query.has('X-Amz-Signature');
    const field = (name: string): string => new RegExp(`${name}=([^,\\s]+)`).exec(header)?.[1] ?? '';
    const credential = presigned ? (query.get('X-Amz-Credential') ?? '') : field('Credential');
    const signedHeaders = presigned ? (query.get('X-Amz-SignedHeaders') ?? '') : field('SignedHeaders');
    const signature = presigned ? query.get('X-Amz-Signature') : field('Signature');
    const date = presigned ? (query.get('X-Amz-Date') ?? '') : String(request.headers['x-amz-date'] ?? '');
    const [key, day = '', region = '', service = ''] = credential.split('/');
    if (credential === '') throw new S3Error(403, 'AccessDenied');
    if (key !== this.accessKey) throw new S3Error(403, 'InvalidAccessKeyId');
    const params = [...query]
      .filter(([name]) => name !== 'X-Amz-Signature')
      .map(([name, value]): [string, string] => [encode(name), encode(value)])
      .sort(([a, x], [b, y]) => byBytes(a, b) || byBytes(x, y));
    const canonical = [
      request.method,
      url.pathname
        .split('/')
        .map((part) => encode(decodeURIComponent(part)))
        .join('/'),
      params.map(([name, value]) => `${name}=${value}`).join('&'),
      ...signedHeaders.split(';').map(
        (name) =>
          `${name}:${String(request.headers[name] ?? '')
            .trim()
            .replace(/ +/g, ' ')}`,
      ),
      '',
      signedHeaders,
      request.headers['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD',
    ].join('\n');
    const scope = `${day}/${region}/${service}/aws4_request`;
    const text = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
    const chain = [day, region, service, 'aws4_request'];
    const secret = chain.reduce<Buffer | string>((last, word) => createHmac('sha256', last).update(word).digest(), `AWS4${this.secretKey}`);
    if (createHmac('sha256', secret).update(text).digest('hex') !== signature) throw new S3Error(403, 'SignatureDoesNotMatch');
  }
}

function listing(bucket: string, objects: ReadonlyMap<string, Stored>, query: URLSearchParams): string {
  const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter') ?? ''];
  const after = query.get('continuation-token') ?? query.get('marker') ?? query.get('start-after') ?? '';
  const limit = Math.min(1000, Number(query.get('max-keys') ?? 1000));
  const name = (text: string): string => (query.get('encoding-type') === 'url' ? encode(text, '/') : xmlText(text));
  const rows: string[] = [];
  const seen = new Set<string>();
  let last = '';
  let truncated = false;
  for (const key of [...objects.keys()].sort(byBytes)) {
    if (!key.startsWith(prefix)) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const shown = cut < 0 ? key : key.slice(0, cut + delimiter.length);
    if (byBytes(shown, after) <= 0 || seen.has(shown)) continue;
    truncated = seen.size === limit;
    if (truncated) break;
    seen.add(shown);
    last = shown;
    const { size = 0, etag = '', modified = new Date(0) } = objects.get(key) ?? {};
    const contents = `<Key>${name(key)}</Key><LastModified>${modified.toISOString()}</LastModified><ETag>"${etag}"</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass>`;
    rows.push(cut < 0 ? `<Contents>${contents}</Contents>` : `<CommonPrefixes><Prefix>${name(shown)}</Prefix></CommonPrefixes>`);
  }
  const next = truncated ? `<NextMarker>${name(last)}</NextMarker><NextContinuationToken>${name(last)}</NextContinuationToken>` : '';
  const encoding = query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : '';
  return `<ListBucketResult><Name>${bucket}</Name><Prefix>${name(prefix)}</Prefix><KeyCount>${seen.size}</KeyCount><MaxKeys>${limit}</MaxKeys>${encoding}<IsTruncated>${truncated}</IsTruncated>${next}${rows.join('')}</ListBucketResult>`;
}

/** Throws away what is left of the body; settled too when the client goes. */
async function drained(request: IncomingMessage): Promise<void> {
  if (request.complete && request.readableEnded) return;
  request.resume();
  await new Promise<void>((done) => {
    request
      .once('end', done)
      .once('close', done)
      .once('error', () => done());
  });
}

function reply(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  const body = text === '' ? '' : `<?xml version="1.0" encoding="UTF-8"?>\n${text}`;
  response.writeHead(status, {
    'content-type': 'application/xml',
    ...headers,
    ...(status === 204 ? {} : { 'content-length': Buffer.byteLength(body) }),
  });
  response.end(body);
}

/** What is kept with an object and told again: its own metadata and its type. */
function metaOf(request: IncomingMessage): Record<string, string> {
  const kept = Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-meta-') || name === 'content-type');
  const query = new URL(request.url ?? '/', 'http://x').searchParams;
  return {
    ...Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
    ...Object.fromEntries([...query].filter(([name]) => name.startsWith('x-amz-meta-'))),
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const encode = (text: string, keep = ''): string =>
  encodeURIComponent(text).replace(/[!'()*]|%2F/g, (found) =>
    found === '%2F' ? (keep === '/' ? '/' : found) : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  );
const xmlText = (text: string): string => text.replace(/[&<>"\r\n]/g, (found) => `&#${found.charCodeAt(0)};`);
const fromXml = (text: string): string =>
  text.replace(/&(#x[0-9a-fA-F]+|#\d+|lt|gt|quot|apos|amp);/g, (_all, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)));
    return { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }[name] ?? '';
  });
