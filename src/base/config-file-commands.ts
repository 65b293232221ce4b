// The parts of a configuration file that name commands and HTTP probes: `[restore]` and `[[checks]]`.
// Belongs to config-file.ts. Invariant: whatever is to run leaves here with the file and key that ask for it.

import * as z from 'zod/mini';
import { parseDuration } from './units.ts';
import type { Check, HttpRequest, JsonCondition, UserCommand } from './user-command.ts';

const COMMAND = 'must be a command: a string for /bin/sh, or a list of a program and its arguments';
const word = z.string({ error: COMMAND }).check(z.regex(/^[^\0]*$/, { error: COMMAND }));
/** The schema of one command; `userCommand` makes of its value what can be run. */
export const commandSchema = z.union(
  [
    word.check(z.regex(/\S/, { error: COMMAND })),
    z.array(word, { error: COMMAND }).check(z.refine((list) => (list[0] ?? '') !== '', { error: COMMAND })),
  ],
  { error: COMMAND },
);

const DURATION = 'must be a duration such as "30s", "5m" or "6h"';
const duration = z.string({ error: DURATION }).check(z.refine((value) => /^\d+(\.\d+)?(ms|s|m|h|d)$/.test(value.trim()), { error: DURATION }));
const COUNT = 'must be a whole number from 0 to 1000';
const retries = z.int({ error: COUNT }).check(z.gte(0, { error: COUNT }), z.lte(1000, { error: COUNT }));
const NAME = 'must be a name of letters, digits, dots, dashes and underscores, 64 at most';
/** Names of checks and artefacts: safe in a file name and a message. */
export const nameSchema = z.string({ error: NAME }).check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, { error: NAME }));
const text = z.string({ error: 'must be text' });
const STATUS = 'must be an HTTP status such as 200, or a list of them';
const status = z.int({ error: STATUS }).check(z.gte(100, { error: STATUS }), z.lte(599, { error: STATUS }));
const URL_TEXT = 'must be an http:// or https:// address';
const HEADERS = 'must be a table of header names and texts';
const headerName = z.string().check(z.regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, { error: HEADERS }));
const headerText = z.string({ error: HEADERS }).check(z.regex(/^[\t\x20-\x7e\x80-\xff]*$/, { error: HEADERS }));
const METHOD = 'must be a method such as "GET" or "POST"';
const VALUE = 'must be a text, a number, true or false';

const json = z.strictObject(
  {
    path: z.string({ error: 'must be a path such as "status" or "items.0.name"' }),
    equals: z.optional(z.union([z.string(), z.number(), z.boolean()], { error: VALUE })),
    at_least: z.optional(z.number({ error: 'must be a number' })),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table such as { path = "status", equals = "ok" }' : undefined) },
);

const ONE_OF = 'must have either command or url';
const HTTP_ONLY = 'method, headers, body, status and json belong to a check with url';
export const checkSchema = z
  .strictObject(
    {
      name: nameSchema,
      command: z.optional(commandSchema),
      url: z.optional(z.string({ error: URL_TEXT }).check(z.refine(isHttp, { error: URL_TEXT }))),
      method: z.optional(z.string({ error: METHOD }).check(z.regex(/^[A-Z]{1,20}$/, { error: METHOD }))),
      headers: z.optional(z.record(headerName, headerText, { error: HEADERS })),
      body: z.optional(text),
      status: z.optional(z.union([status, z.array(status).check(z.minLength(1))], { error: STATUS })),
      json: z.optional(json),
      timeout: z.optional(duration),
      retries: z.optional(retries),
      wait: z.optional(duration),
      drill: z.optional(z.boolean({ error: 'must be true or false' })),
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table ([[checks]])' : undefined) },
  )
  .check(
    z.refine((check) => (check.command === undefined) !== (check.url === undefined), { error: ONE_OF }),
    z.refine(
      (check) => check.url !== undefined || [check.method, check.headers, check.body, check.status, check.json].every((v) => v === undefined),
      {
        error: HTTP_ONLY,
      },
    ),
  );

const TWICE = 'must not use one name twice';
/** True where no two tables of a list have the same name. */
export const distinctNames = (list: readonly { readonly name: string }[]) => new Set(list.map(({ name }) => name)).size === list.length;

export const checksSchema = z.array(checkSchema, { error: 'must be tables ([[checks]])' }).check(z.refine(distinctNames, { error: TWICE }));

/** A service is asked again while it comes up; a command says what it says. */
const URL_RETRIES = 4;
const WAIT_MS = 1000;
const CHECK_TIMEOUT_MS = 30_000;

/** @param source the file that says it */
export function userCommand(run: z.infer<typeof commandSchema>, key: string, source: string): UserCommand {
  return { from: source, key, run };
}

export function checksPart(checks: z.infer<typeof checksSchema>, source: string): Check[] {
  return checks.map(({ name, command, url, timeout, retries: tries, wait, drill, ...http }) => {
    const common = {
      from: source,
      key: `checks.${name}`,
      name,
      timeout: timeout === undefined ? CHECK_TIMEOUT_MS : parseDuration(timeout),
      retries: tries ?? (url === undefined ? 0 : URL_RETRIES),
      wait: wait === undefined ? WAIT_MS : parseDuration(wait),
      // Only where it is wanted: what a person has trusted already stays the same.
      ...(drill === true ? { drill } : {}),
    };
    return url === undefined ? { ...common, run: command ?? '' } : { ...common, request: requestPart(url, http) };
  });
}

function requestPart(
  url: string,
  { method, headers, body, status: wanted, json: condition }: Omit<z.infer<typeof checkSchema>, 'name' | 'command' | 'url'>,
): HttpRequest {
  return {
    url,
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: headers ?? {},
    ...(body === undefined ? {} : { body }),
    ...(wanted === undefined ? {} : { status: typeof wanted === 'number' ? [wanted] : wanted }),
    ...(condition === undefined ? {} : { json: conditionPart(condition) }),
  };
}

function conditionPart({ path, equals, at_least }: z.infer<typeof json>): JsonCondition {
  return { path, ...(equals === undefined ? {} : { equals }), ...(at_least === undefined ? {} : { atLeast: at_least }) };
}

function isHttp(value: string): boolean {
  return /^https?:\/\//.test(value) && URL.canParse(value);
}
