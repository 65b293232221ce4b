// Every reader of bytes that come from a disk, a remote, a file of the user's, an assistant or a mouth: valid inputs, spoilt. Each
// gives a value or throws an error of its own kind, soon, and without memory that a few bytes ask for.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/base/config.ts';
import { CoraError } from '../../src/base/errors.ts';
import { parseSums } from '../../src/format/checksums.ts';
import { parseComplete } from '../../src/format/complete.ts';
import { parseRow } from '../../src/format/file-list.ts';
import { parseJsonText } from '../../src/format/json-text.ts';
import { readObjectEntries } from '../../src/format/object-entry.ts';
import { whyNoReport } from '../../src/format/report-shape.ts';
import { readTarEntries } from '../../src/format/tar-read.ts';
import { compressFrame, decompressFrame, frameLength } from '../../src/format/zstd-frame.ts';
import { understand } from '../../src/language/intent.ts';
import { readWhen } from '../../src/language/when.ts';
import { parseRun } from '../../src/os/run-log.ts';
import { parseXml } from '../../src/os/s3-xml.ts';
import { parseConfigList } from '../../src/source/git-config.ts';
import { eachFrame, openIndex } from '../../src/store/object-index.ts';
import { findLast, linesFrom, parseLine, readHead, readLines } from '../../src/vault/chain.ts';
import { brokenLinks } from '../../src/vault/chain-links.ts';
import { joinEntries, readListing } from '../../src/vault/listing.ts';
import { parsePromptStatus } from '../../src/vault/prompt-status.ts';
import { openVault } from '../../src/vault/vault.ts';
import { mutated } from '../support/mutations.ts';
import { packOf } from '../support/pack-sample.ts';
import { execute } from '../support/sandbox.ts';

const slow = process.env['CORA_TEST_SLOW'] === '1';
const RUNS = Number(process.env['CORA_TEST_FUZZ_RUNS'] ?? (slow ? 100_000 : 120));
const MOST_MS = 5000;
const MOST_BYTES = 600 << 20;

const scratch = mkdtempSync(join(tmpdir(), 'cora-fuzz-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SHA = 'ab'.repeat(32);
const ROWS = [
  `d\t0755\t0\t0\t1763692500.123456789\t0\t-\t.\t-`,
  `f\t0644\t1000\t1000\t1763692500.000000001\t6\t${SHA}\tsrc/a.txt\t-`,
  `f\t0600\t0\t0\t-5.000000000\t2000000\t-\tbig.bin\t-`,
  `+\t-\t-\t-\t-\t65536\t${SHA}\tbig.bin//00000000\t-`,
  `+\t-\t-\t-\t-\t65536\t${SHA}\tbig.bin//00000001\t-`,
  `l\t0777\t0\t0\t1.000000000\t0\t-\tlink\t../away`,
  `h\t0644\t0\t0\t1.000000000\t6\t${SHA}\thard\tsrc/a.txt`,
  `c\t0644\t0\t0\t1.000000000\t0\t-\tnull\t1,3`,
  `-\t-\t-\t-\t-\t-\t-\tgone\\n\t-`,
];
const LISTING = `#cora-files 1\n${ROWS.join('\n')}\n`;
const CHAIN = ['save', 'backup', 'verify', 'prune', 'recover']
  .map((kind, at) => `${at + 1} ${kind} 20261121-143000-1a2b3c4 2026-11-21T14:30:00.000Z ${'0'.repeat(64)} ${SHA} -\n`)
  .join('');
const COMPLETE = JSON.stringify({
  format: 1,
  vault_id: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
  project: 'app',
  host: 'here',
  env: 'prod',
  snapshot_id: '20261121-143000-1a2b3c4',
  kind: 'backup',
  type: 'daily',
  status: 'complete',
  labelled: false,
  backup_start: '2026-11-21T14:30:00Z',
  shipped_at: '2026-11-21T14:31:00Z',
  cora: '0.1.0',
  encryption: 'age',
  recipients: ['age1xyz'],
  sums_sha256: SHA,
  chain: { sequence: 3, hash: SHA },
  files: 2,
  bytes: 100,
  objects: [{ name: 'records.tar.age', bytes: 50, sha256: SHA, plain_bytes: 40, plain_sha256: SHA }],
});
const REPORT = JSON.stringify({
  schema: 1,
  kind: 'save',
  type: 'save',
  snapshot_id: 'x',
  vault_id: 'y',
  sequence: 1,
  status: 'complete',
  project: { name: 'a', root: '/a' },
  host: {},
  timezone: 'UTC',
  git: null,
  note: null,
});
const TOML = `name = "app"\nexclude = ["cache/**"]\n[critical]\npatterns = ["*.md"]\n[offsite]\nremote = "/mnt/nas"\nrecipients = []\n[retention]\nsaves = "cortex"\n[[checks]]\nname = "up"\ncommand = "true"\ntimeout = "30s"\n[phrases]\n"safe now" = "backup now"\n`;
const XML = `<?xml version="1.0"?><ListVersionsResult><Name>b</Name><Version><Key>a&amp;b</Key><Size>5</Size><IsLatest>true</IsLatest></Version></ListVersionsResult>`;
const RUN = '2026-11-21T14:30:00Z level=info command=save exit=0 seconds=1.2 message="said \\"so\\""';
const AGENT =
  '{"session_id":"a1","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"rm -rf build && git reset --hard"},"cwd":"/srv/app"}';
const PHRASES = [
  'save our progress before the migration',
  'is app.db saved?',
  'restore src/a.txt from yesterday evening',
  'what did we lose since monday',
  'backup and end session',
  'show me the last backup of "notes.md"',
];
const MOMENTS = [
  '2 hours ago',
  'yesterday 18:00',
  'last monday',
  '2026-11-21T14:30:00Z',
  'the day before yesterday at noon',
  '3 weeks ago',
  'this morning',
];

/** What a person gets for it: never a bug. Readers whose caller catches all may throw what JSON and TypedArrays throw. */
function isOwn(error: unknown, others: readonly string[]): boolean {
  return error instanceof CoraError ? error.code !== 'internal' : error instanceof Error && others.includes(error.name);
}

type Reader = {
  readonly name: string;
  readonly valid: readonly (string | Uint8Array)[];
  readonly read: (input: Buffer) => unknown;
  readonly others?: readonly string[];
  readonly share?: number;
};

const text = (input: Buffer): string => input.toString();
const latin1 = (input: Buffer): string => input.toString('latin1');

function inFile(name: string, input: Buffer): string {
  const path = join(scratch, name);
  writeFileSync(path, input);
  return path;
}

function vaultWith(name: string, input: Buffer): string {
  const root = join(scratch, 'vault');
  mkdirSync(join(root, 'ledger'), { recursive: true });
  mkdirSync(join(root, '.cache'), { recursive: true });
  mkdirSync(join(root, 'progress/packs'), { recursive: true });
  writeFileSync(join(root, name), input);
  return root;
}

async function* once(input: Buffer): AsyncGenerator<Buffer> {
  yield input;
}

const tar = (await execute('sh', ['-c', `cd ${scratch} && mkdir -p t && echo hello > t/a && ln -sf a t/l && tar --format=gnu -cf - t | base64 -w0`]))
  .stdout;
const TAR = Buffer.from(tar, 'base64');
const PACK = packOf(['one', 'two', 'three'.repeat(100)]);

const READERS: readonly Reader[] = [
  { name: 'rows of a listing', valid: ROWS, read: (input) => parseRow(latin1(input)) },
  {
    name: 'a listing, its pieces joined',
    valid: [LISTING, LISTING.replace('//00000001', '//99999999'), LISTING.replace('//00000001', '//')],
    read: (input) => joinEntries(latin1(input).split('\n').slice(1, -1)),
  },
  {
    name: 'a listing file (zstd)',
    valid: [zstdCompressSync(LISTING), compressFrame(Buffer.from(LISTING))],
    read: (input) => readListing(inFile('FILES.tsv.zst', input)),
  },
  { name: 'a listing file (gzip)', valid: [gzipSync(LISTING)], read: (input) => readListing(inFile('FILES.tsv.gz', input)) },
  { name: 'a zstd frame', valid: [compressFrame(Buffer.from(LISTING))], read: (input) => [frameLength(input, 0), decompressFrame(input)] },
  { name: 'objects of a frame', valid: [decompressFrame(PACK)], read: (input) => [...readObjectEntries(input)] },
  { name: 'a pack, frame by frame', valid: [PACK], read: (input) => eachFrame(inFile('pack', input), (frame) => decompressFrame(frame)), share: 0.5 },
  {
    name: 'a pack that is indexed',
    valid: [PACK],
    read: (input) => openIndex(vaultWith('progress/packs/a.tar.zst', input), ['progress/packs/a.tar.zst'], 0, false, true),
    share: 0.5,
  },
  { name: 'a tar stream', valid: [TAR], read: (input) => readTarEntries(once(input)) },
  { name: 'SHA256SUMS.txt', valid: [`${SHA}  a\n\\${SHA}  b\\nc\n`], read: parseSums },
  { name: 'lines of the ledger', valid: CHAIN.split('\n').slice(0, -1), read: (input) => parseLine(latin1(input)) },
  {
    name: 'the ledger',
    valid: [CHAIN],
    read: (input) => {
      const root = vaultWith('ledger/chain.log', input);
      brokenLinks(readLines(root));
      return [readHead(root), linesFrom(root, 2), findLast(root, ({ kind }) => kind === 'none')];
    },
    share: 0.5,
  },
  {
    name: 'VAULT.json',
    valid: ['{"format": 1, "vault_id": "a", "name": "n", "root": "/r", "created_at": "2026-01-01T00:00:00Z"}'],
    read: (input) => openVault(vaultWith('VAULT.json', input)),
  },
  { name: 'REPORT.json of a copy', valid: [REPORT], read: (input) => whyNoReport(JSON.parse(text(input))), others: ['SyntaxError'] },
  { name: 'COMPLETE.json', valid: [COMPLETE], read: (input) => parseComplete(text(input), 'copy') },
  { name: 'cora.toml', valid: [TOML], read: (input) => parseConfig(text(input), 'cora.toml') },
  { name: 'answers of S3', valid: [XML], read: (input) => parseXml(text(input)) },
  { name: 'the run log', valid: [RUN], read: (input) => parseRun(text(input)) },
  {
    name: 'settings of an assistant',
    valid: [`{"hooks": {"PreToolUse": [${AGENT}]}, "a": "\\u00e9"}`],
    read: (input) => parseJsonText(text(input)),
    others: ['SyntaxError'],
  },
  { name: "git's configuration", valid: ['remote.origin.url\nhttps://u:p@h/r\0core.bare\nfalse\0'], read: (input) => parseConfigList(input) },
  { name: 'the note for the prompt', valid: ['cora 1\nroot /a\nvault /b\n'], read: (input) => parsePromptStatus(text(input)) },
  { name: 'phrases', valid: PHRASES, read: (input) => understand(text(input)) },
  { name: 'moments', valid: MOMENTS, read: (input) => readWhen(text(input), Date.UTC(2026, 10, 21), 'Europe/Berlin') },
];

describe('readers of spoilt bytes', () => {
  it.each(READERS)('$name', { timeout: 3_600_000 }, async ({ valid, read, others = [], share = 1 }) => {
    await fc.assert(
      fc.asyncProperty(mutated(...valid), async (input) => {
        const begun = performance.now();
        const memory = process.memoryUsage().arrayBuffers;
        let thrown: unknown;
        try {
          await read(input);
        } catch (error) {
          thrown = error;
        }
        if (thrown !== undefined && !isOwn(thrown, others)) throw thrown;
        expect(performance.now() - begun).toBeLessThan(MOST_MS);
        expect(process.memoryUsage().arrayBuffers - memory).toBeLessThan(MOST_BYTES);
      }),
      { numRuns: Math.ceil(RUNS * share), ...(slow ? {} : { seed: 7 }) },
    );
  });
});
