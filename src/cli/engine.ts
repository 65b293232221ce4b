// What the commands need from the layers below, in one place: the types they exchange, and the
// modules, each loaded by the command that needs it (a save must not pay for a restore).

import type { BackupOptions, BackupResult } from '../actions/backup.ts';
import type { ListOptions, ListResult } from '../actions/list.ts';
import type { RestoreResult } from '../actions/restore.ts';
import type { RestoreOptions, RestorePlan } from '../actions/restore-plan.ts';
import type { ServiceOptions, ServiceResult } from '../actions/restore-service.ts';
import type { SaveOptions, SaveResult } from '../actions/save.ts';
import type { ShowResult } from '../actions/show.ts';
import type { StatusResult } from '../actions/status.ts';
import type { CommandHost } from '../actions/trust.ts';
import type { VerifyOptions, VerifyResult } from '../actions/verify.ts';
import type { Bytes } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import type { VaultEnvironment, VaultLocation } from '../vault/locate.ts';
import type { Project } from '../vault/project.ts';

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
  restoreInPlace(
    project: Project,
    location: VaultLocation,
    plan: RestorePlan,
    options: ServiceOptions,
    host: CommandHost,
    ctx: Context,
  ): Promise<ServiceResult>;
  planRestore(project: Project | undefined, location: VaultLocation, options: RestoreOptions, ctx: Context): Promise<RestorePlan>;
  applyRestore(plan: RestorePlan, ctx: Context): Promise<RestoreResult>;
  list(location: VaultLocation, options: ListOptions, ctx: Context): Promise<ListResult>;
  show(location: VaultLocation, target: string, ctx: Context): Promise<ShowResult>;
  status(project: Project, location: VaultLocation, logs: readonly string[], ctx: Context): Promise<StatusResult>;
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
  restoreInPlace: async (...args) => (await import('../actions/restore-service.ts')).restoreWithService(...args),
  list: async (...args) => (await import('../actions/list.ts')).list(...args),
  show: async (...args) => (await import('../actions/show.ts')).show(...args),
  status: async (...args) => (await import('../actions/status.ts')).status(...args),
};
