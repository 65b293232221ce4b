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
  /** The hook that was here and was set aside: it goes on in our place. husky reads its own with `sh -e`, executable or not. */
  readonly aside: { readonly path: string; readonly husky: boolean } | undefined;
  readonly words: readonly string[];
};

/** A shell word. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function blockText(options: BlockOptions): string {
  const { aside } = options;
  // What git passed over because it was not executable is passed over still.
  const goOn =
    aside === undefined
      ? ''
      : `if [ ${aside.husky ? '-e' : '-x'} ${shellQuoted(aside.path)} ]; then exec ${aside.husky ? 'sh -e ' : ''}${shellQuoted(aside.path)} "$@"; fi\n`;
  return wrapped((options.hook === 'pre-push' ? prePushBody(options) : saveBody(options)) + goOn, options.words);
}

/** Files are handled as latin1, a character a byte: what comes from outside (paths in UTF-8) is brought into that form here. */
export function wrapped(body: string, words: readonly string[]): string {
  const text = Buffer.from(body).toString('latin1');
  return `# >>> cora v1 sha=${hashOf(text)} >>>${words.map((word) => ` ${word}`).join('')}\n${text}${END}\n`;
}

/** The clone it was installed from may move: then the installed one, then the one in PATH. `${HOME:-}`: a hook may run with `set -u`. */
export function findLauncher(launcher: string): string {
  return `# Written by cora hooks install; cora hooks remove takes it out again.
_cora=
for _c in ${shellQuoted(launcher)} ${FALLBACKS.map((path) => path.replace('~', `"\${HOME:-}"`)).join(' ')} "$(command -v cora || :)"; do
  if [ -x "$_c" ]; then _cora=$_c; break; fi
done
`;
}

/** Where a block looks when the Cora that wrote it is gone; `~` is the home. PATH comes last. */
export const FALLBACKS: readonly string[] = ['/opt/cora/current/bin/cora', '~/.local/share/cora/current/bin/cora'];

const LAUNCHER = /^for _c in '((?:[^']|'\\'')*)' \//m;
const RUN = /^\s*run(?::| =) ("(?:[^"\\]|\\.)*")/m;

/** The path of Cora in a block; undefined where somebody changed that line. */
export function launcherOf(text: string, { start, end }: FoundBlock): string | undefined {
  const body = Buffer.from(text.slice(start, end), 'latin1').toString();
  const quoted = RUN.exec(body)?.[1];
  const script = quoted === undefined ? body : (JSON.parse(quoted) as string);
  return LAUNCHER.exec(script)?.[1]?.replaceAll("'\\''", "'");
}

export const GONE = "echo 'cora: it is not where it was installed, so this push is not saved; cora hooks install sets it up again' >&2";

function prePushBody({ launcher, lfs, chain }: BlockOptions): string {
  // `replay PROGRAM`: the input as it was, an empty one too (a here-document would add a line). No pipe: a program that
  // does not read it would fail the push under `set -o pipefail`.
  const lines = [
    `${findLauncher(launcher)}_cora_in=$(cat)`,
    '_cora_replay() { if [ -n "$_cora_in" ]; then "$@" <<_CORA_INPUT',
    '$_cora_in',
    '_CORA_INPUT',
    'else "$@" </dev/null; fi; }',
    'if [ -n "$_cora" ]; then',
    '  _cora_replay "$_cora" hook pre-push "$@" || exit $?',
    'else',
    `  ${GONE}`,
    'fi',
    ...(chain === undefined ? [] : [`if [ -x ${shellQuoted(chain)} ]; then _cora_replay ${shellQuoted(chain)} "$@" || exit $?; fi`]),
    ...(lfs
      ? [
          'if command -v git-lfs >/dev/null 2>&1; then _cora_replay git lfs pre-push "$@" || exit $?',
          "else echo 'cora: git-lfs is not in PATH: this push uploads pointers without their files' >&2; fi",
        ]
      : []),
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
function findBlock(text: string): FoundBlock | undefined {
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

/**
 * All of them: a file that was copied or merged may hold more than one.
 * @throws RangeError for a begin without an end
 */
export function findBlocks(text: string): FoundBlock[] {
  const blocks: FoundBlock[] = [];
  for (let from = 0; ; from = blocks.at(-1)?.end ?? text.length) {
    const block = findBlock(text.slice(from));
    if (block === undefined) return blocks;
    blocks.push({ ...block, start: block.start + from, end: block.end + from });
  }
}

/** The block goes behind the first line where that names the shell, else to the top. A file without a last newline stays so. */
export function insertBlock(text: string, block: string): string {
  const firstLine = text.startsWith('#!') ? text.indexOf('\n') + 1 || text.length : 0;
  if (firstLine === text.length && text !== '' && !text.endsWith('\n')) return `${text}\n${block.slice(0, -1)}`;
  return text.slice(0, firstLine) + block + text.slice(firstLine);
}

export function removeBlocks(text: string, blocks: readonly FoundBlock[]): string {
  return blocks.reduceRight((rest, block) => removeBlock(rest, block), text);
}

function removeBlock(text: string, block: FoundBlock): string {
  const cutNewline = text[block.end - 1] !== '\n' && text[block.start - 1] === '\n';
  return text.slice(0, cutNewline ? block.start - 1 : block.start) + text.slice(block.end);
}

/** Whether a file without a block calls Cora's hook all the same, because a person wrote that into it. */
export function callsByHand(text: string): boolean {
  return /^(?!\s*#).*\bcora['"]*\s+hook\s+pre-push\b/m.test(text);
}

/** Whether a hook is shell text, which the block can be put into. No first line at all is run by sh (husky). */
export function isShell(text: string): boolean {
  const first = text.slice(0, 200).split('\n')[0] ?? '';
  if (text.includes('\0')) return false;
  return !first.startsWith('#!') || /^#!\s*(?:\S*\/)?(?:env\s+(?:-S\s+)?)?(?:\S*\/)?(?:sh|bash|dash|ksh|zsh|ash|busybox\s+sh)(?:\s|$)/.test(first);
}
