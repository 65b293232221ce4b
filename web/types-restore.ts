// What the routes that act answer (docs/http.md): plans, restores, and what saves, backups and verifications end with.

import type { PathRef } from './types.ts';

/** What every plan has: a token for one use, and the word that a person types. */
export type Planned = {
  readonly token: string;
  readonly expires_at: string;
  readonly confirm: string;
  /** Somebody has to say that nothing writes to the databases, or that it is done while something does. */
  readonly needs_service_stopped: boolean;
  readonly stops_service: boolean;
};

export type RestorePlan = Planned & {
  readonly snapshot_id: string;
  readonly in_place: boolean;
  readonly directory: string;
  readonly create: number;
  readonly replace: number;
  readonly keep: number;
  readonly bytes: number;
  readonly changes: readonly (PathRef & { readonly action: string; readonly size: number })[];
  readonly other_deployment: string | null;
  readonly live_databases: readonly string[];
  readonly move_aside: readonly PathRef[];
  readonly in_the_way: readonly (PathRef & { readonly reason: string })[];
  readonly notes: readonly string[];
};

export type RestoreDone = {
  readonly snapshot_id: string;
  readonly in_place: boolean;
  readonly directory: string;
  readonly files: number;
  readonly bytes: number;
  readonly databases: number;
  readonly seconds?: number;
  readonly pre_restore_snapshot: string | null;
  readonly complete: boolean;
  readonly problems: readonly { readonly path?: string; readonly message: string }[];
};

/** What a save, a backup and a verification end with. */
export type ActionDone = { readonly outcome?: string; readonly complete: boolean; readonly problems: readonly { readonly message: string }[] };

export type UndoPlan = Planned & {
  readonly direction: 'undo' | 'redo';
  readonly snapshot_id: string;
  readonly entries: number;
  readonly databases: readonly string[];
};
