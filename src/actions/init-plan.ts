// What `cora init` would write, as data: the answers that nobody gave are the defaults, and the text of
// each file follows from what was found and answered. Nothing is written here.

import { dirname } from 'node:path';
import { basenameBytes, isText, toText } from '../base/bytes.ts';
import { defaultConfig, parseConfig } from '../base/config.ts';
import { CoraError } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { exists, readTextIfThere } from '../os/files.ts';
import { patternOf, type Rebuildable, type TreeFacts } from '../source/detect.ts';
import { compilePatterns } from '../source/patterns.ts';
import type { InitFacts, InitMachine } from './init-detect.ts';

export type InitAnswers = {
  /** Absolute. */
  readonly vault: string;
  /** gitignore patterns, all of them. */
  readonly critical: readonly string[];
  readonly hooks: boolean;
  readonly timers: boolean;
  /** A key, and copies encrypted for it. */
  readonly key: boolean;
  /** AGENTS.md, and the hooks of the assistants that were found. */
  readonly agents: boolean;
};

/** A pattern that init proposes as critical, and what it stands for here. */
export type CriticalChoice = { readonly pattern: string; readonly found: string; readonly byDefault: boolean };

export type PlannedFile = {
  readonly path: string;
  /** `kept`: it is there, and init does not touch it. */
  readonly action: 'create' | 'kept';
  readonly content: string;
  /** `project`: cora.toml; `machine`: where this machine keeps the vault. */
  readonly kind: 'project' | 'machine';
};

/** As many extra patterns as a person reads. */
const MOST_EXTRAS = 30;

/** What may be critical here, most general first; all of it is chosen unless somebody says otherwise. */
export function criticalChoices({ tree, project }: InitFacts): CriticalChoice[] {
  const { patterns } = project.config.critical;
  const isCritical = compilePatterns(patterns);
  const found = [...tree.memory.map(({ path }) => path), ...tree.secrets];
  const known = patterns.flatMap((pattern): CriticalChoice[] => {
    const matches = compilePatterns([pattern]);
    const count = found.filter((path) => matches(path, false)).length;
    return count === 0 ? [] : [{ pattern, found: `${count} ${count === 1 ? 'file' : 'files'}`, byDefault: true }];
  });
  const extras = new Map<string, string>();
  for (const { path, size } of tree.memory) {
    if (isCritical(path, false)) continue;
    const name = toText(basenameBytes(path));
    const pattern = /^AI_[^/]*\.md$/.test(name) ? 'AI_*.md' : name.endsWith('.md') ? name : patternOf(path, false);
    if (pattern !== undefined) extras.set(pattern, formatBytes(size));
  }
  for (const { kind, path } of tree.vectorStores) {
    // One file each, and small; a store of many files changes them all the time, and a database is critical anyway.
    const isLarge = tree.large.some((file) => file.path === path);
    const pattern = kind === 'faiss' && !isLarge ? patternOf(path, false) : undefined;
    if (pattern !== undefined && !isCritical(path, false)) extras.set(pattern, 'vector index');
  }
  const added = [...extras].slice(0, MOST_EXTRAS).map(([pattern, what]) => ({ pattern, found: what, byDefault: false }));
  return [...known, ...added];
}

/** The whole list: what the configuration has, without what was taken out, with what was added. */
export function criticalList(facts: InitFacts, chosen: readonly string[]): string[] {
  const offered = criticalChoices(facts);
  const declined = new Set(offered.filter(({ pattern }) => !chosen.includes(pattern)).map(({ pattern }) => pattern));
  const kept = facts.project.config.critical.patterns.filter((pattern) => !declined.has(pattern));
  return [...kept, ...offered.filter(({ pattern, byDefault }) => !byDefault && !declined.has(pattern)).map(({ pattern }) => pattern)];
}

/** Whether a hook and timers can be installed here at all; undefined where they can. */
export function whyNoHook({ git }: InitFacts): string | undefined {
  if (git === undefined) return 'not a git work tree';
  return git.reason;
}

/** The answer to every question where nobody is asked. */
export function defaultAnswers(facts: InitFacts): InitAnswers {
  const chosen = criticalChoices(facts).map(({ pattern }) => pattern);
  return {
    vault: facts.location.path,
    critical: criticalList(facts, chosen),
    hooks: whyNoHook(facts) === undefined,
    timers: true,
    key: facts.key !== undefined,
    agents: facts.assistants.length > 0 && isText(facts.project.root),
  };
}

/** What is made again by a tool that says so itself, and holds nothing precious: left out. */
export function leftOut({ tree }: InitFacts): Rebuildable[] {
  return tree.rebuildable.filter(
    ({ path, reason, excluded }) => !excluded && (reason === 'cache' || reason === 'environment') && !holdsPrecious(tree, path),
  );
}

function holdsPrecious(tree: TreeFacts, directory: string): boolean {
  const inside = (path: string) => path.startsWith(`${directory}/`);
  return [...tree.databases, ...tree.memory, ...tree.vectorStores].some(({ path }) => inside(path)) || tree.secrets.some(inside);
}

/**
 * The files that init would write for these answers.
 * @param record true where the vault's place has to be written down, because nothing else names it
 * @throws CoraError refused where the machine's file names another vault; config_invalid
 */
export async function planFiles(facts: InitFacts, answers: InitAnswers, machine: InitMachine, record: boolean): Promise<PlannedFile[]> {
  const files: PlannedFile[] = [];
  const path = `${toText(facts.project.root)}/cora.toml`;
  const content = projectText(facts, answers);
  await parseConfig(content, 'cora.toml');
  files.push({ path, action: facts.configured ? 'kept' : 'create', content, kind: 'project' });
  if (record) files.push(...(await machineFile(facts, answers.vault, machine)));
  return files;
}

async function machineFile({ project }: InitFacts, vault: string, machine: InitMachine): Promise<PlannedFile[]> {
  const own = machine.home === undefined ? undefined : `${machine.home}/.config/cora/${project.name}.toml`;
  const shared = `/etc/cora/${project.name}.toml`;
  const path = machine.uid === 0 ? shared : own;
  for (const place of [shared, ...(own === undefined ? [] : [own])]) {
    if (!exists(place)) continue;
    const there = await parseConfig(readTextIfThere(place) ?? '', place);
    if (there.vault === vault) return [];
    throw new CoraError('refused', `${place} is there and does not name the vault ${vault}`, {
      hint: `write vault = ${tomlString(vault)} into it, or give this project a name of its own (name = "..." in cora.toml)`,
    });
  }
  if (path === undefined) throw new CoraError('usage', 'HOME is not set, so there is no place for the choice of the vault', { hint: 'set HOME' });
  const content = `# Where this machine keeps the saves and backups of ${project.name}. Written by cora init.\nvault = ${tomlString(vault)}\n`;
  await parseConfig(content, path);
  return [{ path, action: 'create', content, kind: 'machine' }];
}

function projectText(facts: InitFacts, answers: InitAnswers): string {
  const lines = [
    '# Cora protects this project (cora status). Written by cora init and yours to edit: it is not written again.',
    '# Only what differs from the defaults stands here; docs/configuration.md of Cora lists every key.',
    '# After each nightly backup old snapshots go by the rules of docs/retention.md; cora prune says which, and why the others stay.',
  ];
  const excluded = leftOut(facts).flatMap(({ path }) => patternOf(path, true) ?? []);
  const maybe = facts.tree.rebuildable
    .filter(({ reason, excluded: out }) => !out && reason === 'build')
    .flatMap(({ path }) => patternOf(path, true) ?? []);
  if (excluded.length > 0 || maybe.length > 0) {
    lines.push('', '[scan]', '# Left out besides node_modules/, venv/, .venv/ and __pycache__/: what its tools make again.');
    if (excluded.length > 0) lines.push(listLine('exclude', excluded));
    if (maybe.length > 0)
      lines.push('# These look like results of a build, and are saved. To leave them out:', `# ${listLine('exclude', [...excluded, ...maybe])}`);
  }
  if (!sameList(answers.critical, defaultConfig.critical.patterns)) {
    lines.push('', '[critical]', '# Watched for losses, and kept plain in each backup: what nobody can make again. Databases always are.');
    lines.push(listLine('patterns', answers.critical));
  }
  return `${lines.join('\n')}\n`;
}

const sameList = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((value, index) => value === b[index]);

const listLine = (key: string, values: readonly string[]) => `${key} = [${values.map(tomlString).join(', ')}]`;

/** JSON's escapes are TOML's, but for DEL. */
function tomlString(value: string): string {
  return JSON.stringify(value).replaceAll('\x7f', '\\u007f');
}

/** The directories at and above `path` that do not exist yet, those above first. */
export function missingDirectories(path: string): string[] {
  const missing: string[] = [];
  for (let at = path; at !== '/' && !exists(at); at = dirname(at)) missing.push(at);
  return missing.reverse();
}
