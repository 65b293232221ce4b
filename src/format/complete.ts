// COMPLETE.json: the last file of each copy off-site (docs/format.md). It is in the clear and holds no name of a file of the
// project: fleet status and recovery's list read nothing else. A directory without it is no copy.

import * as z from 'zod/mini';
import { CoraError } from '../base/errors.ts';

export const COMPLETE = 'COMPLETE.json';
export const OBJECT_SUMS = 'OBJECTS.sha256';
/** Bytes that a marker may have; what is larger is none, and is not fetched to find out. */
export const COMPLETE_MOST = 1 << 20;

const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const size = z.int().check(z.nonnegative());
/** Shown to people; whoever may write to the remote chooses it. */
const words = z.string().check(z.maxLength(4096));
const time = words.check(z.refine((text) => !Number.isNaN(Date.parse(text))));
/** What becomes part of a path here must not lead out of it. */
const word = z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/));

const schema = z.object({
  format: z.literal(1),
  vault_id: z.string().check(z.regex(/^[0-9A-Za-z-]{1,64}$/)),
  project: words,
  host: words,
  env: word,
  snapshot_id: z.string().check(z.regex(/^\d{8}-\d{6}-([0-9a-f]{6,40}|nogit)(-\d+)?$/)),
  kind: z.enum(['backup', 'save', 'fallback']),
  type: words,
  status: z.enum(['complete', 'partial', 'suspect']),
  labelled: z.boolean(),
  /** RFC 3339: the instant the snapshot stands for. */
  backup_start: time,
  shipped_at: time,
  cora: words,
  encryption: z.enum(['age', 'none']),
  recipients: z.array(words).check(z.maxLength(1000)),
  /** Of the snapshot's SHA256SUMS.txt. */
  sums_sha256: sha256,
  /** The newest line of the ledger when it was shipped. */
  chain: z.object({ sequence: size.check(z.maximum(1e12)), hash: sha256 }),
  /** Objects of the copy and their bytes, this file not counted. */
  files: size,
  bytes: size,
  /** Encrypted copies: each object; empty where the snapshot's files lie there as they are. */
  objects: z.array(z.object({ name: word, bytes: size, sha256, plain_bytes: size, plain_sha256: sha256 })),
});

export type Complete = z.infer<typeof schema>;
export type CompleteObject = Complete['objects'][number];

export function formatComplete(complete: Complete): string {
  return `${JSON.stringify(complete, null, 2)}\n`;
}

/**
 * @param where for the message
 * @throws CoraError damaged where the text is no COMPLETE.json of a format that is known
 */
export function parseComplete(text: string, where: string): Complete {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CoraError('damaged', `${where} is no JSON`, { hint: 'cora ship --check', cause: error });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new CoraError('damaged', `${where} is not valid: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`, { hint: 'cora ship --check' });
}

/** Where a copy lies below its remote: `prod/2026-11-21/<id>`, a save's `prod/progress/2026-11-21/<id>`. */
export function copyDirectory(env: string, kind: Complete['kind'], id: string): string {
  const day = `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`;
  return kind === 'backup' ? `${env}/${day}/${id}` : `${env}/progress/${day}/${id}`;
}
