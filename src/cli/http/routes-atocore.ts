// AtoCore's three requests (ATO-2), with its fields, its words for what is wrong and its lock.

import { z } from 'zod';
import { lockDirectory } from '../../actions/artefact-lock.ts';
import { CHROMA, createdForAtoCore, listForAtoCore, validateForAtoCore } from '../../actions/atocore-backups.ts';
import type { ProjectFacts } from '../../actions/open-project.ts';
import { toText } from '../../base/bytes.ts';
import { CoraError } from '../../base/errors.ts';
import type { Report } from '../../format/report.ts';
import { listSnapshots, readReport } from '../../vault/catalog.ts';
import { openLocated, requireOwn } from '../../vault/locate.ts';
import type { Vault } from '../../vault/vault.ts';
import type { Session } from '../command.ts';
import { makeBackup } from '../make-backup.ts';
import { type Route, route, TRIGGER } from './route.ts';

const metadata = z.unknown().describe('REPORT.json of the backup (of one that AtoCore made, its backup-metadata.json); null where it cannot be read');

const create = route({
  method: 'POST',
  path: '/admin/backup',
  summary: 'Make a backup',
  about:
    'A backup, read back and checked. 409 while another program holds the lock of something that it takes ([[artefacts]], lock), or another Cora writes into the vault.',
  command: 'backup now',
  inTurn: true,
  anyType: true,
  body: z.strictObject({ include_chroma: z.boolean().default(false).describe('also the optional artefact called chroma') }),
  output: z.object({
    created_at: z.string(),
    backup_root: z.string(),
    db_snapshot_path: z.string().describe('empty where there is none'),
    db_size_bytes: z.number(),
    registry_snapshot_path: z.string().describe('the archive that holds it, where there is no plain copy beside it'),
    chroma_snapshot_path: z.string(),
    chroma_snapshot_bytes: z.number(),
    chroma_snapshot_files: z.number(),
    chroma_snapshot_included: z.boolean(),
    vector_store_note: z.string(),
    validated: z.boolean(),
    validation_errors: z.array(z.string()),
  }),
  failures: [409, 422, 507],
  run: async ({ body }, session) => {
    const { project, location } = await session.open();
    const named = project.config.artefacts.some(({ name }) => name === CHROMA);
    await requireUnlocked(project, body.include_chroma, session);
    // Nobody waits for a network here: cora ship sends it.
    const outcome = await makeBackup('now', { trigger: TRIGGER, noShip: true, chroma: body.include_chroma && named }, session);
    const vault = openLocated(location);
    const report = reportOf(vault, outcome.result);
    const busy = report.problems.find(({ code }) => code === 'artefact_busy');
    if (busy !== undefined) throw locked(busy.message, { snapshot_id: report.snapshot_id });
    const made = createdForAtoCore(vault, report);
    return {
      data: {
        created_at: report.backup_start,
        backup_root: `${vault.root}/${report.snapshot_id}`,
        db_snapshot_path: made.dbPath,
        db_size_bytes: made.dbBytes,
        registry_snapshot_path: made.registryPath,
        chroma_snapshot_path: made.chromaPath,
        chroma_snapshot_bytes: made.chromaBytes,
        chroma_snapshot_files: made.chromaFiles,
        chroma_snapshot_included: made.chromaIncluded,
        vector_store_note: noteOf(made.chromaIncluded),
        validated: made.errors.length === 0,
        validation_errors: made.errors,
      },
      outcome,
    };
  },
});

const list = route({
  method: 'GET',
  path: '/admin/backup',
  summary: 'All backups',
  about: 'Oldest first, with those that AtoCore made and cora adopt knows of.',
  command: 'backup list',
  output: z.object({
    backup_dir: z.string(),
    backups: z.array(
      z.object({
        stamp: z.string(),
        path: z.string(),
        has_metadata: z.boolean(),
        metadata,
        metadata_error: z.string().nullable(),
      }),
    ),
  }),
  run: async (_input, session) => {
    const vault = await vaultOf(session);
    const backups = listForAtoCore(vault).map(({ stamp, path, metadata: found, error }) => ({
      stamp,
      path,
      has_metadata: error !== 'metadata_missing',
      metadata: found,
      metadata_error: error ?? null,
    }));
    return { data: { backup_dir: vault.root, backups } };
  },
});

const validate = route({
  method: 'GET',
  path: '/admin/backup/{stamp}/validate',
  summary: 'Is one backup whole?',
  about: "Reads all of it from the disk. A stamp is an id, or YYYYMMDDTHHMMSSZ. errors hold AtoCore's words, each with what it is about.",
  command: 'backup verify',
  params: z.strictObject({ stamp: z.string().max(100) }),
  output: z.object({
    stamp: z.string(),
    path: z.string(),
    exists: z.boolean(),
    db_ok: z.boolean().nullable(),
    registry_ok: z.boolean().nullable(),
    chroma_ok: z.boolean().nullable(),
    errors: z.array(z.string()),
    valid: z.boolean(),
    metadata,
  }),
  failures: [404],
  run: async ({ params }, session) => {
    const found = await validateForAtoCore(await vaultOf(session), params.stamp, session.ctx);
    return {
      data: {
        stamp: found.stamp,
        path: found.path,
        exists: true,
        db_ok: found.dbOk,
        registry_ok: found.registryOk,
        chroma_ok: found.chromaOk,
        errors: found.errors,
        valid: found.errors.length === 0,
        metadata: found.metadata,
      },
    };
  },
});

export const ATOCORE_ROUTES: readonly Route[] = [create, list, validate];

async function vaultOf(session: Session): Promise<Vault> {
  const { project, location } = await session.open();
  const vault = openLocated(location);
  requireOwn(vault, project);
  return vault;
}

/** Not waited for: a client that is told no asks again, and the server has others to answer. */
async function requireUnlocked(project: ProjectFacts, includeChroma: boolean, session: Session): Promise<void> {
  for (const artefact of project.config.artefacts) {
    const isTaken = !artefact.optional || (includeChroma && artefact.name === CHROMA);
    if (artefact.lock === undefined || !isTaken) continue;
    const held = await lockDirectory(project, { ...artefact, lockWait: 0 }, session.machine, session.ctx);
    if (held.release === undefined)
      throw locked(`The lock of the artefact ${artefact.name} is held: ${toText(artefact.lock)}`, { artefact: artefact.name });
    await held.release();
  }
}

function locked(message: string, details: Readonly<Record<string, unknown>>): CoraError {
  return new CoraError('locked', message, { hint: 'ask again when the ingestion is over', details });
}

function reportOf(vault: Vault, result: unknown): Report {
  const id = typeof result === 'object' && result !== null && 'snapshot_id' in result ? result.snapshot_id : undefined;
  const ref = listSnapshots(vault).findLast((one) => one.kind === 'backup' && one.id === id);
  if (ref === undefined) throw new CoraError('internal', 'The backup that was just made is not there');
  return readReport(vault, ref);
}

function noteOf(included: boolean): string {
  return included
    ? 'The vector store is in this backup, taken at the same instant as the databases.'
    : 'The vector store is not in this backup: it can be made again by ingestion, or asked for with include_chroma.';
}
