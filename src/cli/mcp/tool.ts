// What a tool of `cora mcp` is, and what it answers with. Invariant: what comes out of the project (names,
// notes, messages of git) is data in fields; in sentences it is cleaned, and nothing is ever read out of it.

import type { z } from 'zod';
import type { Tickets } from '../../actions/restore-token.ts';
import type { Bytes } from '../../base/bytes.ts';
import type { Problem } from '../../base/context.ts';
import type { Outcome, Session } from '../command.ts';
import type { Turns } from './turns.ts';

/** The defaults of the protocol are the worst case, so all four are always said. */
export type Hints = { readonly readOnly: boolean; readonly destructive: boolean; readonly idempotent: boolean; readonly openWorld: boolean };

/** Who asked, in reports and the run log. */
export const TRIGGER = 'assistant';

export const READ: Hints = { readOnly: true, destructive: false, idempotent: true, openWorld: false };

/** A question to the person in front of the client; undefined where the client cannot ask one. */
export type Ask = (message: string, databases: boolean, timeoutMs: number) => Promise<Consent>;

/** What a person answered; `databases` where live databases are concerned. */
export type Consent = { readonly restore: boolean; readonly databases: 'live' | 'stopped' };

/** What a tool may use of the connection that it is called on. */
export type Call = Pick<Turns, 'turn' | 'alone'> & {
  readonly ask: Ask | undefined;
  readonly tickets: Tickets;
  /** Real paths of the directories that the client works in. */
  readonly roots: readonly Bytes[];
  /** Sentences that the command would show a person. */
  readonly notes: readonly string[];
  readonly problems: readonly Problem[];
};

export type Answer = {
  /** One sentence, without a name that was not cleaned. */
  readonly sentence: string;
  /** What a client that shows text alone needs besides. */
  readonly lines?: readonly string[];
  /** By the tool's output schema; fields that it does not name are left out. */
  readonly data: Readonly<Record<string, unknown>>;
  /** Of the command that ran, for the run log. */
  readonly outcome?: Outcome;
};

type Spec<I extends z.ZodObject, O extends z.ZodObject> = {
  readonly name: string;
  readonly title: string;
  /** Says when to call it. */
  readonly description: string;
  readonly hints: Hints;
  readonly input: I;
  readonly output: O;
  /** The command it stands for, for the run log. */
  readonly command: string;
  /** For what takes the vault's write lock: it waits until the one before has ended. */
  readonly inTurn?: true;
  readonly run: (input: z.output<I>, session: Session, call: Call) => Promise<Answer>;
};

/** A tool whose types are no longer of interest. */
export type Tool = Omit<Spec<z.ZodObject, z.ZodObject>, 'run'> & {
  readonly run: (input: Readonly<Record<string, unknown>>, session: Session, call: Call) => Promise<Answer>;
};

export function tool<I extends z.ZodObject, O extends z.ZodObject>(spec: Spec<I, O>): Tool {
  return { ...spec, run: (input, session, call) => spec.run(input as z.output<I>, session, call) };
}
