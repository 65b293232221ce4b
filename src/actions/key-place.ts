// Where identities lie: a directory of the user's own, outside of every project, vault and git work tree, because an
// identity beside what it opens protects nothing, and one that is pushed protects nobody.

import { realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { type IdentityFile, readIdentityFile } from '../os/age-keys.ts';
import { exists, namesIn } from '../os/files.ts';
import type { ProjectFacts } from './open-project.ts';

/** What a key is made or looked for with. */
export type KeyPlace = {
  /** undefined outside of a project. */
  readonly project: ProjectFacts | undefined;
  /** The vault's directory; it need not exist. */
  readonly vault: string | undefined;
  readonly home: string | undefined;
};

/**
 * `~/.config/cora/keys/<project or default>.txt`.
 * @throws CoraError usage where HOME is not set
 */
export function usualIdentity({ project, home }: KeyPlace): string {
  if (home === undefined) throw new CoraError('usage', 'HOME is not set, so there is no usual place for keys', { hint: 'name the file' });
  return `${home}/.config/cora/keys/${project?.name ?? 'default'}.txt`;
}

/**
 * Every identity in `~/.config/cora/keys`; one that may not be used is a problem, not an end.
 * @throws CoraError not_found where there is none
 */
export async function usualIdentities(home: string | undefined, ctx: Context): Promise<IdentityFile[]> {
  const directory = home === undefined ? undefined : `${home}/.config/cora/keys`;
  const files: IdentityFile[] = [];
  for (const name of directory === undefined ? [] : namesIn(directory).filter((one) => one.endsWith('.txt'))) {
    try {
      files.push(await readIdentityFile(`${directory}/${name}`));
    } catch (error) {
      ctx.monitor.problem({ code: 'identity_skipped', path: `${directory}/${name}`, message: messageOf(error), severity: 'warning' });
    }
  }
  if (files.length > 0) return files;
  throw new CoraError('not_found', `There is no identity to use in ${directory ?? 'HOME'}`, {
    hint: 'name it with --identity FILE; from a paper key: one line, AGE-SECRET-KEY-1..., in a file with mode 600',
  });
}

/**
 * @param path absolute
 * @throws CoraError refused where an identity must not lie there
 */
export function refuseIdentityAt(path: string, { project, vault }: KeyPlace): void {
  const real = realPathOf(path);
  const hint = 'name a place of your own with --out, such as ~/.config/cora/keys/NAME.txt';
  const lies = (above: string | undefined) => above !== undefined && (real === realPathOf(above) || real.startsWith(`${realPathOf(above)}/`));
  if (lies(vault)) throw new CoraError('refused', `${path} lies in the vault: a key beside what it opens protects nothing`, { hint });
  if (project !== undefined && lies(toText(project.root))) {
    throw new CoraError('refused', `${path} lies in the project, and would be saved and shipped with it`, { hint });
  }
  for (let at = dirname(real); ; at = dirname(at)) {
    if (exists(`${at}/.git`)) throw new CoraError('refused', `${path} lies in the git work tree ${at}, and may be pushed with it`, { hint });
    if (at === '/') return;
  }
}

/** The path without links, also of what does not exist yet. */
function realPathOf(path: string): string {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    if (at === '/') return `/${missing.join('/')}`;
    if (exists(at)) return [realpathSync(at), ...missing].join('/');
    missing.unshift(basename(at));
  }
}
