// The block of shell text that Cora puts into a git hook, and how it is found again. Pure. Invariants:
// taking the block out gives back the bytes that were there; a block somebody edited is never rewritten.

import { createHash } from 'node:crypto';

/** What a hook file does with Cora's block in it. */
export type HookName = 'pre-push' | 'pre-rebase' | 'post-checkout' | 'pre-commit';

export const HOOK_NAMES: readonly HookName[] = ['pre-push', 'pre-rebase', 'post-checkout', 'pre-commit'];

const BEGIN = /^# >>> cora v1 sha=([0-9a-f]{12}) >>>([^\n]*)$/m;
const END = '# <<< cora <<<';

/** A block as it stands in a file. */
export type FoundBlock = {
  readonly start: number;
  /** After the end marker and its newline. */
  readonly end: number;
  /** False where somebody changed what is between the markers. */
  readonly intact: boolean;
  /** What follows the begin marker: `created` where the whole file is ours, `was-644` for a file that could not run. */
  readonly words: readonly string[];
  readonly sha: string;
};

export type BlockOptions = {
  readonly hook: HookName;
  /** Real path of bin/cora. */
  readonly launcher: string;
  /** Hand the input to git-lfs as well, because nobody else does. */
  readonly lfs: boolean;
  /** Another hook that would be shadowed: it gets the input too. */
  readonly chain: string | undefined;
  readonly words: readonly string[];
};

/** A shell word. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function blockText(options: BlockOptions): string {
  return wrapped(options.hook === 'pre-push' ? prePushBody(options) : saveBody(options), options.words);
}

/**
 * The same for lefthook, whose own hook files it writes again at will: a part of `lefthook-local.yml`, which it merges
 * into its configuration (https://lefthook.dev/configuration). The launcher is tried alone: the file is one machine's.
 */
export function lefthookText(hooks: readonly HookName[], launcher: string, words: readonly string[]): string {
  const parts = hooks.map((hook) => {
    const command =
      hook === 'pre-push'
        ? `${shellQuoted(launcher)} hook pre-push {1} {2}`
        : `${shellQuoted(launcher)} save --if-older 60s --trigger hook --quiet || true`;
    const stdin = hook === 'pre-push' ? '      use_stdin: true\n' : '';
    return `${hook}:\n  commands:\n    cora:\n      run: ${JSON.stringify(command)}\n${stdin}`;
  });
  return wrapped(parts.join(''), words);
}

function wrapped(body: string, words: readonly string[]): string {
  return `# >>> cora v1 sha=${hashOf(body)} >>>${words.map((word) => ` ${word}`).join('')}\n${body}${END}\n`;
}

/** The clone it was installed from may move: then the installed one, then the one in PATH. */
function findLauncher(launcher: string): string {
  return `# Written by cora hooks install; cora hooks remove takes it out again.
_cora=
for _c in ${shellQuoted(launcher)} /opt/cora/current/bin/cora "$HOME/.local/share/cora/current/bin/cora" "$(command -v cora || :)"; do
  if [ -x "$_c" ]; then _cora=$_c; break; fi
done
`;
}

function prePushBody({ launcher, lfs, chain }: BlockOptions): string {
  // `replay PROGRAM`: the input as it was, an empty one too (a here-document would add a line).
  const lines = [
    `${findLauncher(launcher)}_cora_in=$(cat)`,
    '_cora_replay() { if [ -n "$_cora_in" ]; then printf \'%s\\n\' "$_cora_in" | "$@"; else "$@" </dev/null; fi; }',
    'if [ -n "$_cora" ]; then',
    '  _cora_replay "$_cora" hook pre-push "$@" || exit $?',
    'else',
    "  echo 'cora: it is not where it was installed, so this push is not saved; cora hooks install sets it up again' >&2",
    'fi',
    ...(chain === undefined ? [] : [`if [ -x ${chain} ]; then _cora_replay ${chain} "$@" || exit $?; fi`]),
    ...(lfs ? ['if command -v git-lfs >/dev/null 2>&1; then _cora_replay git lfs pre-push "$@" || exit $?; fi'] : []),
    'if [ -n "$_cora_in" ]; then',
    'exec <<_CORA_INPUT',
    '$_cora_in',
    '_CORA_INPUT',
    'else exec </dev/null; fi',
  ];
  return `${lines.join('\n')}\n`;
}

function saveBody({ launcher }: BlockOptions): string {
  return `${findLauncher(launcher)}if [ -n "$_cora" ]; then (unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE GIT_PREFIX; exec "$_cora" save --if-older 60s --trigger hook) >/dev/null 2>&1 </dev/null || :; fi\n`;
}

function hashOf(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 12);
}

/**
 * @returns undefined where there is none
 * @throws RangeError for a begin without an end
 */
export function findBlock(text: string): FoundBlock | undefined {
  const begin = BEGIN.exec(text);
  if (begin === null) return undefined;
  const bodyStart = begin.index + begin[0].length + 1;
  const bodyEnd = text.indexOf(`${END}`, bodyStart);
  if (bodyEnd < 0) throw new RangeError('a block of Cora begins and does not end');
  const after = bodyEnd + END.length;
  const sha = begin[1] ?? '';
  return {
    start: begin.index,
    end: text[after] === '\n' ? after + 1 : after,
    intact: hashOf(text.slice(bodyStart, bodyEnd)) === sha,
    words: (begin[2] ?? '')
      .trim()
      .split(' ')
      .filter((word) => word !== ''),
    sha,
  };
}

/** The block goes behind the first line where that names the shell, else to the top. A file without a last newline stays so. */
export function insertBlock(text: string, block: string): string {
  const firstLine = text.startsWith('#!') ? text.indexOf('\n') + 1 || text.length : 0;
  if (firstLine === text.length && text !== '' && !text.endsWith('\n')) return `${text}\n${block.slice(0, -1)}`;
  return text.slice(0, firstLine) + block + text.slice(firstLine);
}

export function removeBlock(text: string, block: FoundBlock): string {
  const cutNewline = text[block.end - 1] !== '\n' && text[block.start - 1] === '\n';
  return text.slice(0, cutNewline ? block.start - 1 : block.start) + text.slice(block.end);
}

/** Whether a hook is shell text, which the block can be put into. No first line at all is run by sh (husky). */
export function isShell(text: string): boolean {
  const first = text.slice(0, 200).split('\n')[0] ?? '';
  if (text.includes('\0')) return false;
  return !first.startsWith('#!') || /^#!\s*(?:\S*\/)?(?:env\s+(?:-S\s+)?)?(?:\S*\/)?(?:sh|bash|dash|ksh|zsh|ash|busybox\s+sh)(?:\s|$)/.test(first);
}
