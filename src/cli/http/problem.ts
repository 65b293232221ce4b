// Errors of `cora serve` as problem documents (RFC 9457) with Cora's code and the next command (docs/http.md).
// Pure. Invariant: what is not ours (a stack, a cause) never gets out.

import { STATUS_CODES } from 'node:http';
import type { CoraError, ErrorCode } from '../../base/errors.ts';
import type { Failure } from '../json.ts';

/** What the transport itself says no with. Words are only ever added. */
export const TRANSPORT_STATUS = {
  http_bad_request: 400,
  http_unauthorized: 401,
  http_forbidden: 403,
  http_not_found: 404,
  http_method: 405,
  http_timeout: 408,
  http_too_large: 413,
  http_media_type: 415,
  http_too_many: 429,
  http_headers: 431,
  http_busy: 503,
} as const;

export type TransportCode = keyof typeof TRANSPORT_STATUS;

export type ProblemDocument = {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly next: string | null;
  readonly exit_code: number | null;
  readonly details: Readonly<Record<string, unknown>>;
};

/** A refusal, ready to be sent. */
export type Refusal = { readonly document: ProblemDocument; readonly headers?: Readonly<Record<string, string>> };

export const PROBLEM_TYPE = 'application/problem+json';

const STATUS: Readonly<Record<ErrorCode, number>> = {
  usage: 400,
  ambiguous_snapshot: 400,
  ambiguous_moment: 400,
  phrase_unknown: 400,
  unknown_snapshot: 404,
  not_found: 404,
  db_table_missing: 404,
  snapshot_directory_missing: 404,
  locked: 409,
  db_locked: 409,
  refused: 409,
  project_refused: 409,
  target_exists: 409,
  target_not_empty: 409,
  key_wrong: 409,
  damaged: 422,
  too_old: 422,
  validation_failed: 422,
  metadata_missing: 422,
  metadata_invalid_json: 422,
  db_snapshot_missing: 422,
  db_open_failed: 422,
  db_integrity_check_failed: 422,
  registry_snapshot_missing: 422,
  registry_invalid_json: 422,
  chroma_snapshot_missing: 422,
  config_invalid: 500,
  io: 500,
  tool_missing: 500,
  vault_version: 500,
  engine_broken: 500,
  internal: 500,
  db_out_of_memory: 500,
  remote_failed: 502,
  remote_missing: 502,
  vault_missing: 503,
  vault_foreign: 503,
  read_only: 503,
  interrupted: 503,
  no_space: 507,
};

export function problemOf({ code, message, hint, details, exitCode }: CoraError | (Failure & { readonly exitCode: number })): ProblemDocument {
  return {
    type: 'about:blank',
    title: titleOf(STATUS[code]),
    status: STATUS[code],
    detail: message,
    code,
    next: hint ?? null,
    exit_code: exitCode,
    details: details ?? {},
  };
}

export function refusal(code: TransportCode, detail: string, next: string | null, headers?: Readonly<Record<string, string>>): Refusal {
  const status = TRANSPORT_STATUS[code];
  const document = { type: 'about:blank', title: titleOf(status), status, detail, code, next, exit_code: null, details: {} } as const;
  return headers === undefined ? { document } : { document, headers };
}

function titleOf(status: number): string {
  return STATUS_CODES[status] ?? 'Error';
}

/** On every answer: nothing of it is kept, guessed at, framed, or read by another site. */
export const HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
};
