// What the parts of one running `cora serve` share.

import type { Tickets } from '../../actions/restore-token.ts';
import type { Bytes } from '../../base/bytes.ts';
import type { Vault } from '../../vault/vault.ts';
import type { Session } from '../command.ts';
import type { Turns } from '../mcp/turns.ts';
import type { Events } from './events.ts';
import type { Guard } from './guard.ts';
import type { Codes } from './login.ts';
import type { Route } from './route.ts';
import type { Watch } from './state.ts';

/** What routes need of the server around them. */
export type Around = { readonly token: string; readonly codes: Codes; readonly guard: Guard; readonly watch: Watch };

/** What all requests share. */
export type Serving = {
  readonly session: Session;
  /** The project's root: every request is about it. */
  readonly root: Bytes;
  /** As it was at the start: another one in its place is not served. */
  readonly vault: Vault;
  readonly routes: readonly Route[];
  readonly events: Events;
  readonly turns: Turns;
  readonly tickets: Tickets;
  /** Requests that are answered now; the end of the server waits for them. */
  readonly running: Set<Promise<unknown>>;
};
