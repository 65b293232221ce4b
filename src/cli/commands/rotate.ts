// `cora rotate`.

import { type RotatedFile, rotate } from '../../actions/rotate.ts';
import { restoreLine } from '../../actions/rotate-pointer.ts';
import { type Bytes, bytes, toText } from '../../base/bytes.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { pathFields } from '../../base/path-fields.ts';
import { formatBytes, parseBytes } from '../../base/units.ts';
import type { Outcome, Session } from '../command.ts';
import { counted, visible } from '../render.ts';

type Options = { readonly maxSize?: string; readonly maxLines?: number; readonly dryRun?: boolean };
type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { project, location } = await session.open();
  const [typed] = [...args, ...paths];
  const files = await rotate(
    project,
    location,
    {
      path: typed === undefined ? undefined : relativeTo(project.root, session.absolute(typed)),
      maxSize: options.maxSize === undefined ? undefined : parseBytes(options.maxSize),
      maxLines: options.maxLines,
      dryRun: options.dryRun === true,
    },
    session.ctx,
  );
  return {
    result: { dry_run: options.dryRun === true, files: files.map(document) },
    lines: files.length === 0 ? ['No file of rotate.patterns is here'] : files.map(line),
    summary: true,
    ...(files.every(({ complete }) => complete) ? {} : { exitCode: EXIT.incomplete }),
  };
}

function relativeTo(root: Bytes, path: Bytes): Bytes {
  if (path.startsWith(`${root}/`)) return bytes(path.slice(root.length + 1));
  throw new CoraError('refused', `${toText(path)} lies outside the project`, { hint: 'go to its project (cd), then run the command again' });
}

function line(file: RotatedFile): string {
  const name = visible(toText(file.path));
  const now = `${counted(file.lines, 'line')}, ${formatBytes(file.size)}`;
  const cut = `${counted(file.removedLines, 'older line')} (${formatBytes(file.removedBytes)})`;
  if (file.action === 'within') return `${name}: within its limits (${now})`;
  if (file.action === 'would_rotate') return `${name} (${now}): would move ${cut} to the vault`;
  if (file.action === 'refused') return `${name}: not rotated`;
  return `${name} (${now}): ${cut} moved to the vault, in save ${file.id ?? ''}; ${restoreLine(file.path, file.id ?? '')}`;
}

function document({ path, action, size, lines, removedLines, removedBytes, id, drained, complete }: RotatedFile): Readonly<Record<string, unknown>> {
  const removed = { removed_lines: removedLines, removed_bytes: removedBytes };
  return { ...pathFields(path), action, size, lines, ...removed, snapshot_id: id ?? null, drained, complete };
}
