// `cora init` as lines and as JSON: what was found, what would be done, what was done. Pure.

import type { FileOutcome, InitResult } from '../actions/init.ts';
import type { InitFacts, VaultPlace } from '../actions/init-detect.ts';
import type { InitKey } from '../actions/init-key.ts';
import { type InitAnswers, leftOut, type PlannedFile, whyNoHook } from '../actions/init-plan.ts';
import type { UndoPlan, UndoResult } from '../actions/init-undo.ts';
import type { KeyOffer } from '../actions/key-offer.ts';
import { type Bytes, toText } from '../base/bytes.ts';
import { defaultConfig } from '../base/config.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { Rebuildable } from '../source/detect.ts';
import { table } from './columns.ts';
import { counted, grouped, visible } from './render.ts';
import { installedDocument, installedLines } from './render-timers.ts';
import { saveDocument } from './results.ts';

type Document = Readonly<Record<string, unknown>>;

const SHOWN = 4;
const name = (path: Bytes) => visible(toText(path));

/** `a, b, c and 12 more` */
function listed(items: readonly string[]): string {
  const shown = items.slice(0, SHOWN).join(', ');
  return items.length > SHOWN ? `${shown} and ${grouped(items.length - SHOWN)} more` : shown;
}

/** What was found, one fact a line. */
export function factsLines(facts: InitFacts): string[] {
  const { tree, git, project } = facts;
  const rows: [string, string][] = [
    ['Project', `${name(project.root)}${facts.configured ? ' (has a cora.toml)' : ''}`],
    [
      'Files',
      `${grouped(tree.files)}, ${formatBytes(tree.bytes)}${tree.unreadable > 0 ? `, ${counted(tree.unreadable, 'directory', 'directories')} unreadable` : ''}`,
    ],
    ['Git', gitText(facts)],
  ];
  for (const remote of git?.remotes ?? []) {
    rows.push(['', `${visible(remote.name)} ${visible(remote.url)}${remote.limit === undefined ? '' : ' (refuses files of 100 MiB)'}`]);
  }
  if (tree.databases.length > 0) {
    const each = tree.databases.map(({ path, size, wal }) => `${name(path)} (${formatBytes(size)}${wal ? ', WAL' : ''})`);
    rows.push(['Databases', `${grouped(tree.databases.length)} SQLite: ${listed(each)}`]);
  } else rows.push(['Databases', 'none']);
  if (tree.vectorStores.length > 0) rows.push(['Vectors', listed(tree.vectorStores.map(({ kind, path }) => `${name(path)} (${kind})`))]);
  if (tree.memory.length > 0) rows.push(['Memory', listed(tree.memory.map(({ path, size }) => `${name(path)} (${formatBytes(size)})`))]);
  if (tree.secrets.length > 0) rows.push(['Secrets', listed(tree.secrets.map(name))]);
  if (tree.large.length > 0) rows.push(['Large', listed(tree.large.map(({ path, size }) => `${name(path)} (${formatBytes(size)})`))]);
  const out = [...tree.rebuildable.filter(({ excluded }) => excluded), ...(facts.configured ? [] : leftOut(facts))];
  const maybe = tree.rebuildable.filter((one) => !out.includes(one));
  if (out.length > 0) rows.push(['Left out', `${listed(out.map(sizeText))}`]);
  if (maybe.length > 0) rows.push(['Saved too', `${listed(maybe.map(sizeText))}: look like build results (scan.exclude leaves them out)`]);
  if (facts.assistants.length > 0) rows.push(['Assistants', listed(facts.assistants.map(({ title }) => title))]);
  rows.push(['Vault', vaultText(facts.vault)]);
  rows.push(['Seals', sealText(facts.vault)]);
  rows.push(['Clock', { systemd: 'systemd', cron: 'cron (no systemd runs here)', none: 'neither systemd nor cron' }[facts.scheduler]]);
  if (facts.key !== undefined) rows.push(['Off-site', `${listed(facts.key.remotes.map(visible))}, not encrypted yet`]);
  if (facts.rclone.length > 0) rows.push(['rclone', `${listed(facts.rclone.map(visible))} (docs/offsite.md: copies there)`]);
  const lines = table(rows);
  if (!facts.huge) return lines;
  return [
    ...lines,
    `This is large: ${counted(tree.files, 'file')}, ${formatBytes(tree.bytes)}. Its biggest directories:`,
    ...table(
      tree.biggest.map(({ path, files, bytes }) => [`  ${name(path)}`, formatBytes(bytes), counted(files, 'file')]),
      new Set([1, 2]),
    ),
    'What need not be saved: scan.exclude in cora.toml.',
  ];
}

const sizeText = ({ path, bytes, counted: whole }: Rebuildable) => `${name(path)} (${whole ? '' : 'over '}${formatBytes(bytes)})`;

function gitText({ git }: InitFacts): string {
  if (git === undefined) return 'not a git work tree';
  const kind = { plain: 'work tree', worktree: 'linked work tree', submodule: 'submodule' }[git.kind];
  const hooks = git.manager === undefined ? `hooks unknown: ${git.reason ?? ''}` : `hooks by ${git.manager === 'plain' ? 'git itself' : git.manager}`;
  const path = git.hooksPath === undefined ? '' : `, core.hooksPath ${git.hooksPath}`;
  return visible(
    `${kind}, ${git.remotes.length === 0 ? 'no remote' : counted(git.remotes.length, 'remote')}, ${hooks}${path}${git.lfs ? ', git-lfs' : ''}`,
  );
}

function vaultText(vault: VaultPlace): string {
  const disk = vault.sameDisk ? 'on the SAME disk as the project' : 'on another disk';
  return `${visible(vault.path)} (${vault.exists ? 'is there' : 'new'}, ${disk}, ${formatBytes(vault.freeBytes)} free)`;
}

function sealText({ seals, reason }: VaultPlace): string {
  if (seals === true) return 'backups get the immutable flag: it was tried there, and holds';
  if (seals === false) return `backups are protected by permissions alone: ${reason ?? ''}`;
  return `unknown: ${reason ?? ''}`;
}

/** What would be done. */
export function planLines(answers: InitAnswers, files: readonly PlannedFile[], facts: InitFacts, unitFiles: boolean): string[] {
  const lines = [
    `Make the vault ${visible(answers.vault)}${facts.vault.exists ? ' (is there)' : ''}, save everything, and restore a file and a database to see that it works`,
  ];
  for (const { path, action, content } of files) {
    if (action === 'kept') lines.push(`Keep ${visible(path)}: it is there already`);
    else
      lines.push(
        `Write ${visible(path)}:`,
        ...content
          .trimEnd()
          .split('\n')
          .map((line) => `  + ${visible(line)}`),
      );
  }
  lines.push(answers.hooks ? 'Install the pre-push hook' : `No hook: ${whyNoHook(facts) ?? 'as asked'}`);
  lines.push(
    answers.timers
      ? facts.scheduler === 'systemd' || unitFiles
        ? 'Install the timers'
        : 'Print lines for cron (no systemd runs here)'
      : 'No timers: as asked',
  );
  if (facts.key !== undefined) lines.push(answers.key ? keyPlan(facts.key) : 'No key: as asked; copies that hold secrets are refused');
  return lines;
}

const keyPlan = ({ identity, isThere, config }: KeyOffer) =>
  `${isThere ? `Take the key ${visible(identity)}` : `Make a key, ${visible(identity)}`}, and encrypt off-site copies for it (${visible(config)})`;

/** What was done, and as its last line what is protected. */
export function doneLines(result: InitResult, facts: InitFacts): string[] {
  const { proof, location, hooks, timers } = result;
  const lines = result.files.map(fileLine);
  for (const { hook, path, action } of hooks?.changes ?? []) {
    if (action !== 'kept') lines.push(`Hook ${hook}: ${action === 'unchanged' ? 'installed already' : action} (${visible(path)})`);
  }
  if (timers?.scope === 'cron')
    lines.push('Timers: none, as no systemd runs here. For cron, add these lines (crontab -e):', ...timers.cron.map((line) => `  ${visible(line)}`));
  else if (timers !== undefined) lines.push(`Timers: ${installedLines(timers, false)[0] ?? ''}`);
  if (result.key !== undefined) lines.push(...keyLines(result.key));
  lines.push(`Vault: ${visible(location.path)}${facts.vault.sameDisk ? ' (on the same disk as the project: it does not survive the disk)' : ''}`);
  const tested = [
    ...(proof.file === undefined ? [] : [name(proof.file)]),
    ...(proof.database === undefined ? [] : [`${name(proof.database)}, ${counted(proof.rows, 'row')}`]),
  ];
  if (tested.length > 0) lines.push(`Restored to see that it works: ${tested.join('; ')}`);
  lines.push(protectedLine(result));
  return lines;
}

function keyLines({ path, config, made }: InitKey): string[] {
  return [
    `Key: ${visible(path)}${made ? '' : ' (was there)'}; its recipient is in ${visible(config)}, so off-site copies are encrypted`,
    `  WITHOUT IT NOBODY OPENS THE COPIES: print it today (cora key show --secret), and keep a copy off this machine`,
  ];
}

function fileLine({ path, action, reason }: FileOutcome): string {
  const what = { written: 'Wrote', same: 'As it should be:', kept: 'Kept', failed: 'Not written:' }[action];
  return `${what} ${visible(path)}${reason === undefined ? '' : ` (${visible(reason)})`}`;
}

function protectedLine({ proof, save }: InitResult): string {
  const { report } = proof;
  const tested =
    proof.file === undefined && proof.database === undefined
      ? 'Nothing to test a restore with yet.'
      : `Restore tested in ${proof.seconds < 0.05 ? 'less than 0.1 s' : formatDuration(proof.seconds * 1000)}.`;
  const incomplete = report.status === 'complete' ? '' : ` NOT COMPLETE: cora show ${save.id}.`;
  return `Protected: ${counted(report.total_files_processed, 'file')}, ${counted(report.databases.length, 'database')}.${incomplete} ${tested} ${notCovered(report.not_covered)}`;
}

function notCovered(left: InitResult['proof']['report']['not_covered']): string {
  if (left.length === 0) return 'Everything is covered.';
  const by = new Map<string, string[]>();
  for (const { path, reason } of left) {
    const why = reason.startsWith('excluded by default')
      ? 'rebuildable'
      : reason.startsWith('excluded by scan.exclude')
        ? 'scan.exclude'
        : 'another file system';
    by.set(why, [...(by.get(why) ?? []), visible(path)]);
  }
  return `Not covered: ${[...by].map(([why, paths]) => `${listed(paths)} (${why})`).join('; ')}.`;
}

export function undoPlanLines(plan: UndoPlan): string[] {
  return [
    ...plan.files.map(({ path, action }) =>
      action === 'remove' ? `Remove ${visible(path)}` : `Keep ${visible(path)}: it was edited since init wrote it`,
    ),
    ...(plan.hooks ? ['Take Cora out of the git hook'] : []),
    ...(plan.timers ? ['Stop and remove the timers'] : []),
    ...plan.agents.map((path) => `Take Cora out of ${visible(path)}`),
    ...(plan.recipient === undefined ? [] : [`Take the recipient out of ${visible(plan.recipient)}: copies are not encrypted for it any more`]),
    ...(plan.key === undefined ? [] : [keyStays(plan.key)]),
    ...(plan.appendOnly.length > 0 ? [`Lift the append-only flag of ${listed(plan.appendOnly.map(name))}`] : []),
    'The vault with its saves and backups stays',
  ];
}

const keyStays = (path: string) => `The key ${visible(path)} stays: copies that were encrypted for it open with nothing else`;

export function undoLines({ removed, kept, lifted, key, vault }: UndoResult): string[] {
  return [
    ...removed.map((path) => `Undone: ${visible(path)}`),
    ...lifted.map((path) => `Undone: ${name(path)} is not append-only any more`),
    ...kept.map(({ path, reason }) => `Kept: ${visible(path)} (${visible(reason)})`),
    ...(key === undefined ? [] : [keyStays(key)]),
    `The vault ${visible(vault)} stays, with all saves and backups`,
  ];
}

export function factsDocument({ project, tree, git, vault, scheduler, rclone, assistants, key, huge, root, seconds }: InitFacts): Document {
  return {
    project: { name: project.name, root: toText(project.root) },
    detected: {
      files: tree.files,
      bytes: tree.bytes,
      git:
        git === undefined
          ? null
          : { ...git, manager: git.manager ?? null, hooksPath: undefined, hooks_path: git.hooksPath ?? null, reason: git.reason ?? null },
      databases: tree.databases.map(({ path, size, wal }) => ({ path: toText(path), size, wal })),
      vector_stores: tree.vectorStores.map(({ kind, path }) => ({ kind, path: toText(path) })),
      memory: tree.memory.map(({ path, size }) => ({ path: toText(path), size })),
      secrets: tree.secrets.map(toText),
      large_files: tree.large.map(({ path, size }) => ({ path: toText(path), size })),
      rebuildable: tree.rebuildable.map(({ path, reason, excluded, bytes, counted: whole }) => ({
        path: toText(path),
        reason,
        excluded,
        size: bytes,
        size_is_whole: whole,
      })),
      biggest: tree.biggest.map(({ path, files, bytes }) => ({ path: toText(path), files, bytes })),
      large_project: huge,
      root,
      scheduler,
      rclone,
      assistants: assistants.map(({ name: word }) => word),
      key: key === undefined ? null : { identity: key.identity, exists: key.isThere, config: key.config, remotes: key.remotes },
      seconds,
    },
    vault: {
      path: vault.path,
      exists: vault.exists,
      same_disk: vault.sameDisk,
      free: vault.freeBytes,
      seals: vault.seals ?? null,
      reason: vault.reason ?? null,
    },
  };
}

export function answersDocument(answers: InitAnswers, files: readonly PlannedFile[]): Document {
  const changed = JSON.stringify(answers.critical) !== JSON.stringify(defaultConfig.critical.patterns);
  return {
    answers: {
      vault: answers.vault,
      critical: answers.critical,
      critical_is_default: !changed,
      hooks: answers.hooks,
      timers: answers.timers,
      key: answers.key,
      agents: answers.agents,
    },
    files: files.map(({ path, action, content }) => ({ path, action, ...(action === 'create' ? { content } : {}) })),
  };
}

export function doneDocument(result: InitResult): Document {
  const { proof, hooks, timers } = result;
  return {
    files: result.files.map(({ path, action, reason }) => ({ path, action, reason: reason ?? null })),
    hooks: hooks ?? null,
    timers: timers === undefined ? null : installedDocument(timers, false),
    key: result.key ?? null,
    save: saveDocument(result.save),
    restore_test: {
      file: proof.file === undefined ? null : toText(proof.file),
      bytes: proof.bytes,
      database: proof.database === undefined ? null : toText(proof.database),
      rows: proof.rows,
      seconds: proof.seconds,
    },
    total_files_processed: proof.report.total_files_processed,
    databases: proof.report.databases.length,
    not_covered: proof.report.not_covered,
  };
}

export function undoDocument({ removed, kept, lifted, key, vault }: UndoResult): Document {
  return { removed, kept, lifted: lifted.map(toText), key: key ?? null, vault };
}
