// What `cora list` and `cora backup list` share.

import type { Bytes } from '../base/bytes.ts';
import type { SnapshotKind } from '../format/report.ts';
import type { Outcome, Session } from './command.ts';
import { listLines } from './render.ts';
import { listDocument } from './results.ts';

export type ListCommandOptions = { readonly saves?: boolean; readonly backups?: boolean; readonly limit?: number };

export async function listSnapshots(
  kind: SnapshotKind | undefined,
  options: ListCommandOptions,
  path: Bytes | undefined,
  session: Session,
): Promise<Outcome> {
  const { location } = await session.locate();
  const result = await session.engine.list(location, { kind, path, limit: options.limit }, session.ctx);
  return { result: listDocument(result), lines: listLines(result, session.ctx.now(), session.width) };
}
