// What a route of `cora serve` is, and what it answers with: one entry a route, from which requests are checked and
// the OpenAPI document is made. Invariant: a GET changes nothing.

import type { z } from 'zod';
import type { Tickets } from '../../actions/restore-token.ts';
import type { Problem } from '../../base/context.ts';
import type { Outcome, Session } from '../command.ts';
import type { Turns } from '../mcp/turns.ts';
import type { Events } from './events.ts';
import type { Refusal } from './problem.ts';

/** Who asked, in reports and the run log. */
export const TRIGGER = 'http';

/** What a route may use of the request and of the server around it. */
export type Call = {
  /** A header of the request. */
  header(name: string): string | undefined;
  readonly events: Events;
  readonly turns: Turns;
  /** Restore plans that wait for their yes. */
  readonly tickets: Tickets;
  /** Sentences that the command would show a person. */
  readonly notes: readonly string[];
  readonly problems: readonly Problem[];
  /** Of this request, as the events name it. */
  readonly run: string;
  /** Where it comes from, for limits. */
  readonly address: string;
  /** Ends when the client goes, or the server stops. */
  readonly signal: AbortSignal;
};

export type Answer = Refusal | Content;

export type Content = (
  | { /** One JSON document, by the route's output schema. */ readonly data: Readonly<Record<string, unknown>> }
  | { readonly bytes: Uint8Array | AsyncIterable<Uint8Array>; readonly type: string }
) & {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the command that ran, for the run log. */
  readonly outcome?: Outcome;
};

type Input<P, Q, B> = { readonly params: P; readonly query: Q; readonly body: B };

type Spec<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodObject> = {
  readonly method: 'GET' | 'POST';
  /** As OpenAPI writes it: `/api/v1/snapshots/{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly about: string;
  /** The command it stands for, for the run log; none where it is not about a project. */
  readonly command?: string;
  /** What the events call it, where the command alone could be another. */
  readonly told?: string;
  readonly params?: P;
  readonly query?: Q;
  /** Of a POST. Unknown fields are refused: make it a strict object. */
  readonly body?: B;
  /** What it answers; undefined where that is no JSON document of ours. */
  readonly output?: z.ZodObject;
  /** The content type, where it is no JSON document. */
  readonly outputType?: string;
  /** Statuses of failure besides those of every route. */
  readonly failures?: readonly number[];
  /** For what takes the vault's write lock: it waits until the one before has ended, and the events tell of it. */
  readonly inTurn?: true;
  /** For what looks for a long time: the events tell of it. */
  readonly events?: true;
  /** True where a body is taken for JSON whatever type is said: for programs that say none. */
  readonly anyType?: true;
  /** For what answers without looking at the vault: it waits for nobody. */
  readonly free?: true;
  readonly run: (input: Input<z.output<P>, z.output<Q>, z.output<B>>, session: Session, call: Call) => Promise<Answer>;
};

type Values = Readonly<Record<string, unknown>>;

/** A route whose types are no longer of interest. */
export type Route = Omit<Spec<z.ZodObject, z.ZodObject, z.ZodObject>, 'run'> & {
  readonly run: (input: Input<Values, Values, Values>, session: Session, call: Call) => Promise<Answer>;
};

export function route<P extends z.ZodObject = z.ZodObject, Q extends z.ZodObject = z.ZodObject, B extends z.ZodObject = z.ZodObject>(
  spec: Spec<P, Q, B>,
): Route {
  return { ...spec, run: (input, session, call) => spec.run(input as Input<z.output<P>, z.output<Q>, z.output<B>>, session, call) } as Route;
}
