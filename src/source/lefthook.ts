// What Cora says to lefthook: it writes its own hook files again at will, so the block goes into its configuration of
// one machine, which it merges (https://lefthook.dev/configuration). Pure but for looking for that file.

import { join } from 'node:path';
import { exists } from '../os/files.ts';
import { findLauncher, GONE, HOOK_NAMES, type HookName, shellQuoted, wrapped } from './hook-block.ts';

/** In the order in which lefthook takes the first one; a second one it does not read at all (tried with 2.1). */
export const LEFTHOOK_LOCAL: readonly string[] = ['yml', 'yaml', 'json', 'jsonc', 'toml'].flatMap((kind) =>
  ['lefthook-local', '.lefthook-local', '.config/lefthook-local'].map((name) => `${name}.${kind}`),
);

/** lefthook's file of one machine, where it is or would be. */
export function lefthookFile(root: string): string {
  return join(root, LEFTHOOK_LOCAL.find((name) => exists(join(root, name))) ?? LEFTHOOK_LOCAL[0] ?? '');
}

/** The block for a YAML or TOML file. */
export function lefthookText(hooks: readonly HookName[], launcher: string, path: string, words: readonly string[]): string {
  const toml = path.endsWith('.toml');
  const parts = hooks.map((hook) => {
    // A JSON string is one of YAML and of TOML as well.
    const run = JSON.stringify(hook === 'pre-push' ? pushScript(launcher) : saveScript(launcher));
    const stdin = hook === 'pre-push';
    if (toml) return `[${hook}.commands.cora]\nrun = ${run}\n${stdin ? 'use_stdin = true\n' : ''}`;
    return `${hook}:\n  commands:\n    cora:\n      run: ${run}\n${stdin ? '      use_stdin: true\n' : ''}`;
  });
  return wrapped(parts.join(''), words);
}

/** The hooks that a block in lefthook's file names. */
export function lefthookHooks(text: string): HookName[] {
  return HOOK_NAMES.filter((hook) => new RegExp(`^\\[?${hook}(?::|\\.commands\\.cora\\])$`, 'm').test(text));
}

/**
 * Where the hook file that lefthook wrote looks for it besides PATH: the path it holds, the packages of npm, and what a
 * project for other package managers (`bundle exec lefthook`) has at its top, which counts as found.
 */
export function lefthookPrograms(root: string, hookText: string): string[] {
  const held = /^\s*elif (\/\S+) -h /m.exec(hookText)?.[1];
  const modules = ['lefthook', '@evilmartians/lefthook', '@evilmartians/lefthook-installer'].map((name) => `node_modules/${name}`);
  const others = [
    'Gemfile',
    'go.mod',
    'pyproject.toml',
    'Package.swift',
    'Mintfile',
    'mise.toml',
    '.mise.toml',
    'devbox.json',
    'yarn.lock',
    'pnpm-lock.yaml',
  ];
  return [...(held === undefined ? [] : [held]), ...[...modules, ...others].map((name) => join(root, name))];
}

/** The first of these hooks that a YAML file has of its own: a second one of that name would hide it, or be an error. */
export function ownHook(rest: string, hooks: readonly HookName[], path: string): HookName | undefined {
  const toml = path.endsWith('.toml');
  return hooks.find((hook) => {
    // In TOML a table may come in many parts, but for one in braces and one of this very name.
    const own = toml
      ? `^\\s*(?:["']?${hook}["']?\\s*(?:\\.\\s*["']?commands["']?\\s*)?=|\\[${hook}\\.commands\\.cora\\])`
      : `^["']?${hook}["']?\\s*:`;
    return new RegExp(own, 'm').test(rest);
  });
}

/** What a person adds where Cora does not; valid in YAML and in JSON. */
export function lefthookByHand(launcher: string): string {
  const run = `if [ -x ${shellQuoted(launcher)} ]; then ${shellQuoted(launcher)} hook pre-push {1} {2}; fi`;
  return `"cora": ${JSON.stringify({ run, use_stdin: true }).replaceAll('":', '": ').replaceAll(',"', ', "')}`;
}

/** lefthook puts the words of git in for {1} and {2} as they are: in here-documents no character of a URL is a shell's. */
function pushScript(launcher: string): string {
  return `${findLauncher(launcher)}IFS= read -r _cora_remote <<'_CORA_WORD'
{1}
_CORA_WORD
IFS= read -r _cora_url <<'_CORA_WORD'
{2}
_CORA_WORD
if [ -n "$_cora" ]; then exec "$_cora" hook pre-push "$_cora_remote" "$_cora_url"; fi
${GONE}
`;
}

function saveScript(launcher: string): string {
  return `${findLauncher(launcher)}if [ -n "$_cora" ]; then (unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE GIT_PREFIX; exec "$_cora" save --if-older 60s --trigger hook) >/dev/null 2>&1 </dev/null || :; fi\n`;
}
