// What the commands need from the layers below, in one place: the types they exchange, and the
// modules, each loaded by the command that needs it (a save must not pay for a restore).

import type { BackupOptions, BackupResult } from '../actions/backup.ts';
import type { RestoreResult } from '../actions/restore.ts';
import type { RestoreOptions, RestorePlan } from '../actions/restore-plan.ts';
import type { SaveOptions, SaveResult } from '../actions/save.ts';
import type { VerifyOptions, VerifyResult } from '../actions/verify.ts';
import type { Bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError } from '../base/errors.ts';
import type { Report, SnapshotKind } from '../format/report.ts';
import type { VaultEnvironment, VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';

export type ListOptions = { readonly kind: SnapshotKind | undefined; readonly path: Bytes | undefined; readonly limit: number | undefined };
export type SnapshotSummary = {
  readonly id: string;
  /** Both where a backup was exported from the save of the same id. */
  readonly kinds: readonly SnapshotKind[];
  readonly type: string;
  readonly status: 'complete' | 'partial';
  readonly sequence: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly files: number;
  /** Bytes of content that it stands for. */
  readonly contentBytes: number;
  /** Bytes that its own files take in the vault. */
  readonly storedBytes: number;
  readonly label: string | null;
  readonly note: string | null;
  readonly path: string;
};
export type ListResult = { readonly snapshots: readonly SnapshotSummary[]; readonly total: number };

export type ShowResult = { readonly id: string; readonly forms: readonly { readonly path: string; readonly report: Report }[] };

export type LastRun = { readonly id: string; readonly time: number; readonly ok: boolean };
export type StatusResult = {
  readonly project: { readonly name: string; readonly root: string };
  readonly vault: {
    readonly path: string;
    readonly exists: boolean;
    readonly bytes: number;
    readonly freeBytes: number;
    /** True where the vault's disk is the project's: no protection against the loss of the disk. */
    readonly sameDisk: boolean;
  };
  readonly lastSave: LastRun | undefined;
  readonly lastBackup: LastRun | undefined;
  readonly lastVerify: LastRun | undefined;
  readonly saves: number;
  readonly backups: number;
  readonly warnings: readonly { readonly message: string; readonly next: string }[];
};

/** The layers below as functions; tests give their own. */
export type Engine = {
  findProject(cwd: Bytes, home: Bytes | undefined): Promise<Project>;
  locateVault(
    project: { readonly root: Bytes; readonly name: string },
    configured: string | undefined,
    env: VaultEnvironment,
  ): Promise<VaultLocation>;
  save(project: Project, location: VaultLocation, options: SaveOptions, ctx: Context): Promise<SaveResult>;
  backup(project: Project, location: VaultLocation, options: BackupOptions, ctx: Context): Promise<BackupResult>;
  verify(location: VaultLocation, options: VerifyOptions, ctx: Context): Promise<VerifyResult>;
  planRestore(project: Project | undefined, location: VaultLocation, options: RestoreOptions, ctx: Context): Promise<RestorePlan>;
  applyRestore(plan: RestorePlan, ctx: Context): Promise<RestoreResult>;
  list(location: VaultLocation, options: ListOptions, ctx: Context): Promise<ListResult>;
  show(location: VaultLocation, target: string, ctx: Context): Promise<ShowResult>;
  status(project: Project, location: VaultLocation, ctx: Context): Promise<StatusResult>;
};

/** The real layers. Each call loads its module first. */
export const engine: Engine = {
  findProject: async (...args) => (await import('../vault/project.ts')).findProject(...args),
  locateVault: async (...args) => (await import('../vault/locate.ts')).locateVault(...args),
  save: async (...args) => (await import('../actions/save.ts')).save(...args),
  backup: async (...args) => (await import('../actions/backup.ts')).backup(...args),
  verify: async (...args) => (await import('../actions/verify.ts')).verify(...args),
  planRestore: async (...args) => (await import('../actions/restore-plan.ts')).planRestore(...args),
  applyRestore: async (...args) => (await import('../actions/restore.ts')).applyRestore(...args),
  list: async (...args) => (await layer('list', 'list'))(...args),
  show: async (...args) => (await layer('show', 'show'))(...args),
  status: async (...args) => (await layer('status', 'status'))(...args),
};

// Until these modules are all there, a plain `import('../actions/list.ts')` would not compile; then
// each line above becomes `(await import('../actions/list.ts')).list(...args)` and this function goes.
async function layer<N extends keyof Engine>(file: string, name: N): Promise<Engine[N]> {
  let module: Readonly<Record<string, unknown>>;
  try {
    module = await import(`../actions/${file}.ts`);
  } catch (error) {
    throw new CoraError('internal', `This build has no ${file} yet`, { cause: error });
  }
  return module[name] as Engine[N];
}
