// The AI assistants that Cora knows: how each is recognized, where its hooks stand, and what they are to call.

import { exists } from '../os/files.ts';
import type { HookEntry } from './agent-settings.ts';
import { FALLBACKS, shellQuoted } from './hook-block.ts';

export type AssistantName = 'claude' | 'codex' | 'gemini' | 'cursor';

export type Assistant = {
  readonly name: AssistantName;
  readonly title: string;
  /** In the project or in the home: it is used here. */
  readonly directory: string;
  /** In the project. */
  readonly settings: string;
  /** What a new settings file needs besides hooks. */
  readonly rest: Readonly<Record<string, unknown>>;
  /** Where its skills lie, in the project. */
  readonly skill?: string;
  /** What a person still has to do. */
  readonly note?: string;
  entries(launcher: string): readonly HookEntry[];
};

type Event = 'session-start' | 'pre-tool' | 'stop' | 'session-end';

/** The clone that wrote it may move, and a repository with these settings is cloned elsewhere: then an installed one, then nothing. */
function script(event: Event, assistant: AssistantName, launcher: string): string {
  const places = [shellQuoted(launcher), ...FALLBACKS.map((path) => path.replace('~', `"\${HOME:-}"`))];
  return `for c in ${places.join(' ')}; do [ ! -x "$c" ] || exec "$c" hook agent ${event} ${assistant}; done`;
}

/** For those that run hooks in the user's own shell, which may be fish. */
const wrapped = (event: Event, assistant: AssistantName, launcher: string) => `/bin/sh -c ${shellQuoted(script(event, assistant, launcher))}`;

/** Claude Code's form, which Codex and Gemini CLI share: event by event what is called, and how long it may take. */
function groups(call: (event: Event) => string, tools: readonly [event: string, matcher: string], second: number, ends: Ends): readonly HookEntry[] {
  const group = (event: string, ours: Event, seconds: number, matcher?: string): HookEntry => ({
    event,
    entry: { ...(matcher === undefined ? {} : { matcher }), hooks: [{ type: 'command', command: call(ours), timeout: seconds * second }] },
  });
  return [
    group('SessionStart', 'session-start', 15),
    group(tools[0], 'pre-tool', 20, tools[1]),
    group(ends.compact, 'stop', 5),
    group(ends.turn, 'stop', 5),
    group('SessionEnd', 'session-end', ends.seconds),
  ];
}

/** Names of the events before the context is compacted and after a turn, and the seconds that the end of a session has. */
type Ends = { readonly compact: string; readonly turn: string; readonly seconds: number };

/** Time limits are the assistants' own: ours are in hooks/agent, and shorter. */
export const ASSISTANTS: readonly Assistant[] = [
  {
    name: 'claude',
    title: 'Claude Code',
    directory: '.claude',
    settings: '.claude/settings.json',
    rest: {},
    skill: '.claude/skills/cora/SKILL.md',
    entries: (launcher) =>
      groups((event) => script(event, 'claude', launcher), ['PreToolUse', 'Bash|Write|Edit|MultiEdit|NotebookEdit|mcp__.*'], 1, {
        compact: 'PreCompact',
        turn: 'Stop',
        seconds: 5,
      }),
  },
  {
    name: 'codex',
    title: 'Codex',
    directory: '.codex',
    settings: '.codex/hooks.json',
    rest: {},
    note: 'Codex runs hooks of a project only after you trusted them: /hooks in Codex',
    entries: (launcher) =>
      groups((event) => wrapped(event, 'codex', launcher), ['PreToolUse', 'Bash|apply_patch|mcp__.*'], 1, {
        compact: 'PreCompact',
        turn: 'Stop',
        seconds: 3,
      }),
  },
  {
    name: 'gemini',
    title: 'Gemini CLI',
    directory: '.gemini',
    settings: '.gemini/settings.json',
    rest: {},
    // Its limits are in milliseconds.
    entries: (launcher) =>
      groups((event) => script(event, 'gemini', launcher), ['BeforeTool', 'run_shell_command|write_file|replace|mcp_.*'], 1000, {
        compact: 'PreCompress',
        turn: 'AfterAgent',
        seconds: 5,
      }),
  },
  {
    name: 'cursor',
    title: 'Cursor',
    directory: '.cursor',
    settings: '.cursor/hooks.json',
    rest: { version: 1 },
    entries: (launcher) => {
      const entry = (event: string, ours: Event, timeout: number, matcher?: string): HookEntry => ({
        event,
        entry: { ...(matcher === undefined ? {} : { matcher }), command: wrapped(ours, 'cursor', launcher), timeout },
      });
      return [
        entry('sessionStart', 'session-start', 15),
        entry('beforeShellExecution', 'pre-tool', 20),
        entry('preToolUse', 'pre-tool', 20, 'Write|StrReplace|Edit|Delete'),
        entry('preCompact', 'stop', 5),
        entry('stop', 'stop', 5),
        entry('sessionEnd', 'session-end', 5),
      ];
    },
  },
];

/** Those that are used in this project or by this user. */
export function findAssistants(root: string, home: string | undefined): Assistant[] {
  const places = [root, ...(home === undefined ? [] : [home])];
  return ASSISTANTS.filter(({ directory }) => places.some((place) => exists(`${place}/${directory}`)));
}
