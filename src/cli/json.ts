// The JSON document of `--json` (docs/json.md): one a run, on stdout, the same envelope for every
// command. Fields are only ever added. Pure.

import type { Problem } from '../base/context.ts';
import { type CoraError, ERROR_EXIT, type ErrorCode } from '../base/errors.ts';

export const JSON_SCHEMA = 1;

/** A run that could not do what was asked, as data: a thrown CoraError, or what a command found (damage). */
export type Failure = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  /** Where it is not the code's own. */
  readonly exitCode?: number;
};

export function failureOf(error: CoraError): Failure {
  return { code: error.code, message: error.message, hint: error.hint, details: error.details, exitCode: error.exitCode };
}

/** The document of a run with a result (exit codes 0, 3 and 75). */
export function resultDocument(
  command: string,
  result: unknown,
  problems: readonly Problem[],
  beside: Readonly<Record<string, unknown>> = {},
): string {
  return stringify({ schema: JSON_SCHEMA, command, ok: true, result, problems, ...beside });
}

/** The document of a run that failed. */
export function errorDocument(command: string, failure: Failure, problems: readonly Problem[]): string {
  const error = {
    code: failure.code,
    message: failure.message,
    hint: failure.hint ?? null,
    exit_code: failure.exitCode ?? ERROR_EXIT[failure.code],
    details: failure.details ?? {},
  };
  return stringify({ schema: JSON_SCHEMA, command, ok: false, error, problems });
}

function stringify(document: unknown): string {
  return `${JSON.stringify(document, (_key, value: unknown) => {
    if (typeof value === 'bigint') return value.toString();
    return value instanceof Error ? value.message : value;
  })}\n`;
}
