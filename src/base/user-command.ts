// What a configuration file may ask Cora to run: commands and HTTP probes. Only their types, and how
// they are found in a configuration. Invariant: each carries the file it came from and the key it stands
// under, so that nothing runs without the question whether that file may say so (actions/trust.ts).

/** The name of a repository's own configuration file, as `from` has it; a machine's file has its absolute path. */
export const PROJECT_FILE = 'cora.toml';

/** What asks for a permission: the file that says it, and its place there (`restore.stop`, `checks.answers`). */
export type Asked = { readonly from: string; readonly key: string };

/** A string runs in `/bin/sh -c`, a list is a program and its arguments. */
export type UserCommand = Asked & { readonly run: string | readonly string[] };

/** What a JSON body must say at `path` (`status`, `items.0.name`): to be there, to equal, to be a number as large. */
export type JsonCondition = { readonly path: string; readonly equals?: string | number | boolean | null; readonly atLeast?: number };

export type HttpRequest = {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Statuses that are right; undefined: any 2xx. */
  readonly status?: readonly number[];
  readonly json?: JsonCondition;
};

/** An address that is told when the state of health changes. Its path may be a secret: only its host is ever shown. */
export type WebHook = Asked & { readonly request: { readonly url: string } };

/** One of `[[checks]]`: a command or a probe. Milliseconds. */
export type Check = Asked & {
  readonly name: string;
  /** Of one try. */
  readonly timeout: number;
  /** Tries after the first one, so that a service may come up. */
  readonly retries: number;
  readonly wait: number;
  /** Run by a drill too, on what it restored. */
  readonly drill?: true;
} & ({ readonly run: string | readonly string[] } | { readonly request: HttpRequest });

/** Everything in a configuration (or a part of one) that asks to be run, in its order. */
export function askedIn(config: unknown): Asked[] {
  if (typeof config !== 'object' || config === null) return [];
  const found: Asked[] = isAsked(config) ? [config] : [];
  for (const value of Object.values(config)) found.push(...askedIn(value));
  return found;
}

function isAsked(value: object): value is Asked {
  return 'from' in value && typeof value.from === 'string' && 'key' in value && typeof value.key === 'string';
}
