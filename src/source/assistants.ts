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

/** Claude Code's form, which Codex and Gemini CLI share. */
function group(event: string, command: string, timeout: number, matcher?: string): HookEntry {
  return { event, entry: { ...(matcher === undefined ? {} : { matcher }), hooks: [{ type: 'command', command, timeout }] } };
}

/** Time limits are the assistants' own: ours are in hooks/agent, and shorter. */
export const ASSISTANTS: readonly Assistant[] = [
  {
    name: 'claude',
    title: 'Claude Code',
    directory: '.claude',
    settings: '.claude/settings.json',
    rest: {},
    skill: '.claude/skills/cora/SKILL.md',
    entries: (launcher) => [
      group('SessionStart', script('session-start', 'claude', launcher), 15),
      group('PreToolUse', script('pre-tool', 'claude', launcher), 20, 'Bash|Write|Edit|MultiEdit|NotebookEdit|mcp__.*'),
      group('PreCompact', script('stop', 'claude', launcher), 5),
      group('Stop', script('stop', 'claude', launcher), 5),
      group('SessionEnd', script('session-end', 'claude', launcher), 5),
    ],
  },
  {
    name: 'codex',
    title: 'Codex',
    directory: '.codex',
    settings: '.codex/hooks.json',
    rest: {},
    note: 'Codex runs hooks of a project only after you trusted them: /hooks in Codex',
    entries: (launcher) => [
      group('SessionStart', wrapped('session-start', 'codex', launcher), 15),
      group('PreToolUse', wrapped('pre-tool', 'codex', launcher), 20, 'Bash|apply_patch|mcp__.*'),
      group('PreCompact', wrapped('stop', 'codex', launcher), 5),
      group('Stop', wrapped('stop', 'codex', launcher), 5),
      group('SessionEnd', wrapped('session-end', 'codex', launcher), 3),
    ],
  },
  {
    name: 'gemini',
    title: 'Gemini CLI',
    directory: '.gemini',
    settings: '.gemini/settings.json',
    rest: {},
    entries: (launcher) => [
      group('SessionStart', script('session-start', 'gemini', launcher), 15_000),
      group('BeforeTool', script('pre-tool', 'gemini', launcher), 20_000, 'run_shell_command|write_file|replace|mcp_.*'),
      group('PreCompress', script('stop', 'gemini', launcher), 5000),
      group('AfterAgent', script('stop', 'gemini', launcher), 5000),
      group('SessionEnd', script('session-end', 'gemini', launcher), 5000),
    ],
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
