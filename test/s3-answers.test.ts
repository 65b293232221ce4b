// The small S3 client and what is made of its answers, against a server on loopback that answers what real ones were seen to
// answer, and what none should. What real servers do with Object Lock is in test/offsite/lock.test.ts.

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { keepsVersions, lockCopy } from '../src/actions/offsite-lock.ts';
import type { Remote } from '../src/actions/offsite-remote.ts';
import { findProgram } from '../src/os/run.ts';
import { openS3, type S3 } from '../src/os/s3.ts';
import { s3PlaceOf } from '../src/os/s3-settings.ts';
import { parseXml } from '../src/os/s3-xml.ts';

const SECRET = 'canary-of-the-s3-client';
const NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';
type Given = { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };
type Asked = { readonly method: string; readonly url: string; readonly headers: IncomingMessage['headers']; readonly body: string };

let server: Server | undefined;
let client: S3 | undefined;
let asked: Asked[] = [];

afterEach(() => {
  client?.close();
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

/** A server that answers by this function; its address. */
async function serve(answer: (request: Asked) => Given | 'hang'): Promise<string> {
  asked = [];
  const own = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const one = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: Buffer.concat(parts).toString() };
      asked.push(one);
      const given = answer(one);
      if (given !== 'hang') response.writeHead(given.status ?? 200, given.headers).end(given.body);
    });
  });
  server = own;
  await new Promise<void>((resolve) => own.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(own.address() as AddressInfo).port}`;
}

async function open(answer: (request: Asked) => Given | 'hang', timeout = 5000): Promise<S3> {
  const settings = { endpoint: await serve(answer), region: 'us-east-1', accessKeyId: 'KEY', secretAccessKey: SECRET, pathStyle: true };
  client = await openS3(settings, { signal: new AbortController().signal, timeout });
  return client;
}

const error = (code: string, status: number): Given => ({
  status,
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${SECRET}</Message></Error>`,
});

/** No answer of S3 to any of the questions. */
const NONSENSE: readonly (readonly [string, Given])[] = [
  ['a page', { headers: { 'content-type': 'text/html' }, body: '<!DOCTYPE html><html><body>Welcome<br></body></html>' }],
  ['nothing', { body: '' }],
  ['JSON', { body: '{"ObjectLockEnabled":"Enabled"}' }],
  ['a cut document', { body: `<ObjectLockConfiguration ${NS}><ObjectLockEnabled>Enabled</ObjectLockEnabled>` }],
  ['two documents', { body: '<Retention/><Retention/>' }],
  // Swift overlooks the question and lists the bucket.
  ['a list', { body: `<?xml version='1.0' encoding='UTF-8'?>\n<ListBucketResult ${NS}><Name>bu1</Name><Prefix/></ListBucketResult>` }],
  ['a redirect', { status: 302, headers: { location: 'http://192.0.2.1/' } }],
  ['its own failure', { status: 500, body: 'oops' }],
  ['a wrong signature', error('SignatureDoesNotMatch', 403)],
];

test.each(NONSENSE)('%s is no answer to any question', async (_name, given) => {
  const s3 = await open(() => given);
  const answers = [await s3.objectLock('b'), await s3.versioning('b'), await s3.retention('b', 'k'), await s3.versions('b', '')];
  for (const answer of answers) expect(answer).toMatchObject({ failed: 'unclear' });
  expect(JSON.stringify(answers)).not.toContain(SECRET);
  expect(asked).toHaveLength(4);
});

test('what is asked reaches the server as it is named, signed, once, and without the secret', async () => {
  const s3 = await open(() => ({ status: 404 }));
  const key = "d/é + (x)'*!/a&b~c%20?#.txt";
  expect(await s3.head('bucket', key, 'v 1+')).toEqual({ failed: 'absent', why: 'the server answers 404' });
  const [one] = asked;
  expect(asked).toHaveLength(1);
  const url = new URL(one?.url ?? '', 'http://x');
  expect(decodeURIComponent(url.pathname)).toBe(`/bucket/${key}`);
  expect(url.search).toBe('?versionId=v%201%2B');
  expect(one?.headers.authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=KEY\/\d{8}\/us-east-1\/s3\/aws4_request, SignedHeaders=host;/);
  expect(JSON.stringify(asked)).not.toContain(SECRET);
  // A URL would turn this into another object.
  expect(await s3.head('bucket', 'a/../b')).toMatchObject({ failed: 'unclear' });
  expect(asked).toHaveLength(1);
});

test('the kinds of no', async () => {
  const codes = { ObjectLockConfigurationNotFoundError: 404, NoSuchBucket: 404, AccessDenied: 403, MethodNotAllowed: 405, NotImplemented: 501 };
  const s3 = await open(({ url }) => error(url.slice(1).split('?')[0] ?? '', codes[url.slice(1).split('?')[0] as keyof typeof codes]));
  const kinds: string[] = [];
  for (const code of Object.keys(codes)) kinds.push(((await s3.objectLock(code)) as { failed: string }).failed);
  expect(kinds).toEqual(['unset', 'absent', 'denied', 'unsupported', 'unsupported']);
});

test('a default rule, and none', async () => {
  const configuration = (rule: string) => ({
    body: `<ObjectLockConfiguration ${NS}><ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}</ObjectLockConfiguration>`,
  });
  const rule = (inner: string) => configuration(`<Rule><DefaultRetention>${inner}</DefaultRetention></Rule>`);
  const answers: Given[] = [
    configuration(''),
    rule('<Mode>GOVERNANCE</Mode><Days>30</Days>'),
    rule('<Mode>COMPLIANCE</Mode><Years>1</Years>'),
    rule('<Mode>SOMETIMES</Mode><Days>30</Days>'),
    rule('<Mode>COMPLIANCE</Mode>'),
    rule('<Mode>COMPLIANCE</Mode><Days>0</Days>'),
    { body: `<ObjectLockConfiguration ${NS}><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>` },
    { body: '<ObjectLockConfiguration/>' },
  ];
  const s3 = await open(() => answers[asked.length - 1] ?? {});
  expect(await s3.objectLock('b')).toEqual({ rule: undefined });
  expect(await s3.objectLock('b')).toEqual({ rule: { mode: 'GOVERNANCE', days: 30 } });
  expect(await s3.objectLock('b')).toEqual({ rule: { mode: 'COMPLIANCE', years: 1 } });
  for (let at = 3; at < answers.length; at++) expect(await s3.objectLock('b')).toMatchObject({ failed: 'unclear' });
});

test('an object whose content is a retention is not locked by it, and a request that was taken for an upload is no lock', async () => {
  const body = `<Retention ${NS}><Mode>COMPLIANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>`;
  let headers: Record<string, string> = { etag: '"0"' };
  const s3 = await open(() => ({ headers, body }));
  expect(await s3.retention('b', 'k')).toMatchObject({ failed: 'unclear' });
  const until = new Date('2099-01-01T00:00:00Z');
  expect(await s3.setRetention('b', 'k', undefined, { mode: 'COMPLIANCE', until })).toMatchObject({ failed: 'unclear' });
  expect(asked.at(-1)?.body).toBe(body);
  headers = {};
  expect(await s3.retention('b', 'k')).toEqual({ mode: 'COMPLIANCE', until });
});

test('the headers of an object: a lock only where both are there and right', async () => {
  const lock = { 'x-amz-object-lock-mode': 'COMPLIANCE', 'x-amz-object-lock-retain-until-date': '2099-01-01T00:00:00Z' };
  const base = { etag: '"e"', 'content-length': '5' };
  const answers = [
    { ...base, ...lock },
    base,
    { ...base, ...lock, 'x-amz-object-lock-mode': 'OFF' },
    { ...base, ...lock, 'x-amz-object-lock-retain-until-date': 'soon' },
  ];
  const s3 = await open(() => ({ headers: answers[asked.length - 1] ?? { 'content-length': '5' } }));
  expect(await s3.head('b', 'k')).toMatchObject({ size: 5, retention: { mode: 'COMPLIANCE', until: new Date('2099-01-01T00:00:00Z') } });
  for (let at = 1; at < answers.length; at++) expect(await s3.head('b', 'k')).toMatchObject({ size: 5, retention: undefined });
  expect(await s3.head('b', 'k')).toMatchObject({ failed: 'unclear' });
});

test('a list of versions goes on page by page, and ends where it turns in a circle', async () => {
  const version = (key: string, latest: boolean) =>
    `<Version><Key>${key}</Key><VersionId>v</VersionId><IsLatest>${latest}</IsLatest><Size>3</Size></Version>`;
  const page = (inner: string, next?: string) =>
    `<ListVersionsResult ${NS}>${inner}<IsTruncated>${next !== undefined}</IsTruncated>${next === undefined ? '' : `<NextKeyMarker>${next}</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>`}</ListVersionsResult>`;
  const s3 = await open(({ url }) => {
    if (url.includes('prefix=circle')) return { body: page('', 'x') };
    if (!url.includes('key-marker')) return { body: page(version('d/a&amp;b', true), 'd/a&amp;b') };
    return { body: page('<DeleteMarker><Key>d/c</Key><VersionId>w</VersionId><IsLatest>true</IsLatest></DeleteMarker>') };
  });
  expect(await s3.versions('b', 'd/')).toEqual([
    { key: 'd/a&b', versionId: 'v', latest: true, deleteMarker: false, size: 3 },
    { key: 'd/c', versionId: 'w', latest: true, deleteMarker: true, size: 0 },
  ]);
  expect(asked[1]?.url).toContain('key-marker=d%2Fa%26b&version-id-marker=v');
  expect(await s3.versions('b', 'circle')).toMatchObject({ failed: 'unclear' });
  expect(asked.length).toBeLessThan(110);
});

test('a server that hangs, and one that is not there, end in time', async () => {
  const s3 = await open(() => 'hang', 300);
  expect(await s3.objectLock('b')).toEqual({ failed: 'unclear', why: 'no answer within 0.3 s' });
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
  expect(await s3.objectLock('b')).toMatchObject({ failed: 'unclear' });
});

test.each([
  ['<a>1<b x="y"/>2</a>', '12'],
  ['\uFEFF<?xml version="1.0"?>\n<a>&lt;&#65;&#x42;&amp;</a>\n', '<AB&'],
])('%j is read', (document, text) => {
  expect(parseXml(document)?.text).toBe(text);
});

test.each([
  '',
  'a',
  '<a>',
  '<a></b>',
  '<a/>b',
  '<a>&unknown;</a>',
  '<a>&amp</a>',
  '<!DOCTYPE a><a/>',
  '<a><!-- --></a>',
  `${'<a>'.repeat(20)}${'</a>'.repeat(20)}`,
  '<a></a x="1">',
])('%j is no document', (document) => {
  expect(parseXml(document)).toBeUndefined();
});

test('where a remote lies is taken from the environment and the configuration of rclone, or said to be unknown', () => {
  const keys = { access_key_id: 'k', secret_access_key: 's' };
  const settings = { region: 'us-east-1', accessKeyId: 'k', secretAccessKey: 's', pathStyle: true };
  const environment = {
    RCLONE_CONFIG_MY_SPACE_TYPE: 's3',
    RCLONE_CONFIG_MY_SPACE_ACCESS_KEY_ID: 'k',
    RCLONE_CONFIG_MY_SPACE_SECRET_ACCESS_KEY: 's',
    RCLONE_CONFIG_MY_SPACE_ENDPOINT: 'h:1',
  };
  const configuration = {
    aws: { type: 's3', provider: 'AWS', region: 'eu-central-1', ...keys },
    elsewhere: { type: 's3', provider: 'AWS', env_auth: 'true' },
    short: { type: 'alias', remote: 'aws:bucket/deep' },
    round: { type: 'alias', remote: 'round:' },
    hidden: { type: 'crypt', remote: 'aws:bucket' },
    dav: { type: 'webdav' },
    old: { type: 's3', endpoint: 'h', region: 'other-v2-signature', ...keys },
  };
  const at = (remote: string) => s3PlaceOf(remote, environment, configuration);
  expect(at('my-space:b/x//y/')).toEqual({ kind: 's3', bucket: 'b', prefix: 'x/y', settings: { ...settings, endpoint: 'https://h:1' } });
  const aws = { ...settings, region: 'eu-central-1', endpoint: 'https://s3.eu-central-1.amazonaws.com' };
  expect(at('AWS:b')).toEqual({ kind: 's3', bucket: 'b', prefix: '', settings: aws });
  expect(at('short:prod/x')).toEqual({ kind: 's3', bucket: 'bucket', prefix: 'deep/prod/x', settings: aws });
  expect(at('/mnt/nas')).toEqual({ kind: 'other', type: 'local' });
  expect(at('dav:x')).toEqual({ kind: 'other', type: 'webdav' });
  for (const remote of ['elsewhere:b', 'round:b', 'hidden:b', 'old:b', 'nobody:b', 'aws:', ':s3,provider=AWS:b'])
    expect(at(remote).kind).toBe('unknown');
});

test('where deleting leaves the old version there', () => {
  const none = (why: string) => keepsVersions({ state: 'none', why });
  expect([none('a local remote has no Object Lock'), none('the bucket has no Object Lock')]).toEqual([false, false]);
  expect([none('its locks have ended'), keepsVersions({ state: 'locked', mode: 'COMPLIANCE', until: '2026-12-21T00:00:00Z' })]).toEqual([true, true]);
  expect(keepsVersions({ state: 'unknown', why: 'the server answers 500' })).toBe(false);
});

// A remote as ship opens it, its keys in the environment.
function remoteAt(endpoint: string): Remote {
  const env = {
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_T_TYPE: 's3',
    RCLONE_CONFIG_T_ENDPOINT: endpoint,
    RCLONE_CONFIG_T_PROVIDER: 'Other',
    RCLONE_CONFIG_T_ACCESS_KEY_ID: 'KEY',
    RCLONE_CONFIG_T_SECRET_ACCESS_KEY: SECRET,
  };
  const credentials = { env, secrets: [SECRET], defaultRemote: undefined, spaces: undefined, rcloneConfig: undefined, warnings: [] };
  const rclone = { credentials, timeout: 5000, bwlimit: undefined, signal: new AbortController().signal };
  return { name: 't:bucket', base: 't:bucket', type: 's3', rclone, credentials };
}

/** Objects as Swift keeps them: it overlooks `?retention` and `?object-lock`; `claims`: and yet says that it has Object Lock. */
function swiftLike(objects: Map<string, string>, claims: boolean) {
  return ({ method, url, body }: Asked): Given => {
    const { pathname, searchParams } = new URL(url, 'http://x');
    const key = decodeURIComponent(pathname).replace(/^\/bucket\/?/, '');
    if (searchParams.has('versions')) {
      const rows = [...objects].map(
        ([name, content]) =>
          `<Version><Key>${name}</Key><VersionId>null</VersionId><IsLatest>true</IsLatest><Size>${content.length}</Size></Version>`,
      );
      return { body: `<ListVersionsResult ${NS}>${rows.join('')}<IsTruncated>false</IsTruncated></ListVersionsResult>` };
    }
    if (searchParams.has('object-lock') && claims)
      return { body: `<ObjectLockConfiguration ${NS}><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>` };
    if (key === '') return { body: `<ListBucketResult ${NS}><Name>bucket</Name></ListBucketResult>` };
    if (method === 'PUT') objects.set(key, body);
    const content = objects.get(key);
    const headers = { etag: `"${Buffer.from(content ?? '').toString('hex')}"`, 'content-length': String(content?.length ?? 0) };
    return content === undefined
      ? error('NoSuchKey', 404)
      : { headers: method === 'PUT' ? { etag: headers.etag } : headers, body: method === 'GET' ? content : '' };
  };
}

const noRclone = findProgram('rclone') === undefined ? 'no rclone' : undefined;
const request = { directory: 'prod/2026-11-21/x', objects: 2, now: Date.parse('2026-11-21T00:00:00Z'), until: Date.parse('2026-12-21T00:00:00Z') };

test.skipIf(noRclone !== undefined)('nothing is ever set at a server that does not say that it has Object Lock', async () => {
  const objects = new Map([
    [`${request.directory}/a.age`, 'content'],
    [`${request.directory}/COMPLETE.json`, '{"complete":true}'],
  ]);
  const before = [...objects];
  const remote = remoteAt(await serve(swiftLike(objects, false)));
  expect(await lockCopy(remote, request)).toEqual({ state: 'unknown', why: 'the server answers with something else than S3 does' });
  expect(asked.map(({ method }) => method)).not.toContain('PUT');
  expect([...objects]).toEqual(before);
});

test.skipIf(noRclone !== undefined)(
  'a server that says it has Object Lock and overwrites the object is found out at the smallest object',
  async () => {
    const objects = new Map([
      [`${request.directory}/a.age`, 'content that is long'],
      [`${request.directory}/OBJECTS.sha256`, 'small'],
    ]);
    const remote = remoteAt(await serve(swiftLike(objects, true)));
    await expect(lockCopy(remote, request)).rejects.toMatchObject({ code: 'damaged' });
    expect(objects.get(`${request.directory}/a.age`)).toBe('content that is long');
    expect(asked.filter(({ method }) => method === 'PUT')).toHaveLength(1);
  },
);

/** A copy of two objects at a server that has Object Lock; `object` answers what is asked of one of them. */
function lockingServer(object: (request: Asked) => Given | 'hang') {
  return (request: Asked): Given | 'hang' => {
    const { searchParams } = new URL(request.url, 'http://x');
    if (searchParams.has('object-lock'))
      return { body: `<ObjectLockConfiguration ${NS}><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>` };
    if (!searchParams.has('versions')) return object(request);
    const rows = ['a', 'COMPLETE.json'].map(
      (name) => `<Version><Key>${directory}/${name}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>1</Size></Version>`,
    );
    return { body: `<ListVersionsResult ${NS}>${rows.join('')}<IsTruncated>false</IsTruncated></ListVersionsResult>` };
  };
}

const { directory } = request;
const unlocked = { headers: { etag: '"e"', 'content-length': '1' } };
const lockedUntil = (until: string, mode = 'COMPLIANCE') => ({
  headers: { ...unlocked.headers, 'x-amz-object-lock-mode': mode, 'x-amz-object-lock-retain-until-date': until },
});
const reading = { ...request, until: undefined };

test.skipIf(noRclone !== undefined).each<[string, (request: Asked) => Given, object]>([
  [
    'the earliest lock counts',
    ({ url }) => lockedUntil(url.includes('COMPLETE') ? '2027-01-01T00:00:00Z' : '2026-12-01T00:00:00Z'),
    { state: 'locked', mode: 'COMPLIANCE', until: '2026-12-01T00:00:00.000Z' },
  ],
  [
    'governance at one object is governance',
    ({ url }) => lockedUntil('2027-01-01T00:00:00Z', url.includes('COMPLETE') ? 'GOVERNANCE' : 'COMPLIANCE'),
    { state: 'locked', mode: 'GOVERNANCE' },
  ],
  ['a lock that has ended is none', () => lockedUntil('2026-11-20T00:00:00Z'), { state: 'none', why: 'its locks have ended' }],
  [
    'one object without a lock is enough for none',
    ({ url, method }) =>
      url.includes('COMPLETE') ? lockedUntil('2027-01-01T00:00:00Z') : method === 'HEAD' ? unlocked : error('NoSuchObjectLockConfiguration', 404),
    { state: 'none', why: '1 of 2 objects are not locked' },
  ],
  [
    'a key that may not see locks cannot tell',
    ({ method }) => (method === 'HEAD' ? unlocked : error('AccessDenied', 403)),
    { state: 'unknown', why: "this key may not read an object's lock" },
  ],
  [
    'an object that is gone meanwhile cannot be told of',
    ({ url }) => (url.includes('COMPLETE') ? { status: 404 } : lockedUntil('2027-01-01T00:00:00Z')),
    { state: 'unknown' },
  ],
])('%s', async (_name, object, expected) => {
  expect(await lockCopy(remoteAt(await serve(lockingServer(object))), reading)).toMatchObject(expected);
});

test.skipIf(noRclone !== undefined)('a copy of which the bucket lists too few objects is not known to be locked', async () => {
  const remote = remoteAt(await serve(lockingServer(() => lockedUntil('2027-01-01T00:00:00Z'))));
  expect(await lockCopy(remote, { ...reading, objects: 3 })).toEqual({ state: 'unknown', why: 'the bucket lists 2 objects of 3' });
});

test.skipIf(noRclone !== undefined)(
  'a server that takes a lock and does not show it has locked nothing, and is asked for one object alone',
  async () => {
    const remote = remoteAt(
      await serve(
        lockingServer(({ method }) => (method === 'PUT' ? {} : method === 'HEAD' ? unlocked : error('NoSuchObjectLockConfiguration', 404))),
      ),
    );
    expect(await lockCopy(remote, request)).toEqual({ state: 'unknown', why: 'the server took the lock and does not show it' });
    expect(asked.filter(({ method }) => method === 'PUT')).toHaveLength(1);
  },
);

test.skipIf(noRclone !== undefined)('a server that hangs is given up in time, and an interrupt ends it at once', async () => {
  const remote = remoteAt(await serve(lockingServer(() => 'hang')));
  expect(await lockCopy(remote, { ...reading, limit: 500 })).toEqual({ state: 'unknown', why: 'asking about every object took too long' });
  const interrupt = new AbortController();
  setTimeout(() => interrupt.abort(), 500);
  await expect(lockCopy({ ...remote, rclone: { ...remote.rclone, signal: interrupt.signal } }, reading)).rejects.toMatchObject({
    code: 'interrupted',
  });
});
