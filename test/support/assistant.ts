// An AI assistant played by a test: it reads its settings as Claude Code does, and calls the hooks of each event and tool in
// the same way: the command by sh, JSON on standard input, the project as directory and in CLAUDE_PROJECT_DIR.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Run, Sandbox } from './sandbox.ts';

type Group = { readonly matcher?: string; readonly hooks: readonly { readonly type: string; readonly command: string; readonly timeout?: number }[] };

export type HookRun = Run & { readonly milliseconds: number };

export class Assistant {
  readonly #box: Sandbox;
  readonly #env: NodeJS.ProcessEnv;
  /** Every run of a hook, in order. */
  readonly runs: HookRun[] = [];

  constructor(box: Sandbox, env: NodeJS.ProcessEnv = {}) {
    this.#box = box;
    this.#env = {
      PATH: process.env['PATH'],
      HOME: box.home,
      CORA_VAULT: box.vault,
      CORA_LOG: join(box.root, 'cora.log'),
      CLAUDE_PROJECT_DIR: box.project,
      ...env,
    };
  }

  start(source = 'startup'): Promise<HookRun[]> {
    return this.#fire('SessionStart', source, { source, model: 'test' });
  }

  /** What happens before a tool call; the call itself is the test's. */
  before(tool: string, input: object): Promise<HookRun[]> {
    return this.#fire('PreToolUse', tool, { tool_name: tool, tool_input: input, tool_use_id: 'toolu_1' });
  }

  stop(): Promise<HookRun[]> {
    return this.#fire('Stop', '', { stop_hook_active: false });
  }

  end(): Promise<HookRun[]> {
    return this.#fire('SessionEnd', 'other', { reason: 'other' });
  }

  async #fire(event: string, subject: string, fields: object): Promise<HookRun[]> {
    const { hooks } = JSON.parse(readFileSync(join(this.#box.project, '.claude/settings.json'), 'utf8')) as { hooks: Record<string, Group[]> };
    const input = JSON.stringify({
      session_id: 'b4f3',
      transcript_path: '/nonexistent/t.jsonl',
      cwd: this.#box.project,
      permission_mode: 'default',
      hook_event_name: event,
      ...fields,
    });
    const wanted = (hooks[event] ?? []).filter(({ matcher }) => matcher === undefined || new RegExp(`^(?:${matcher})$`).test(subject));
    const runs = await Promise.all(wanted.flatMap((group) => group.hooks.map((hook) => this.#call(hook.command, input))));
    this.runs.push(...runs);
    return runs;
  }

  #call(command: string, input: string): Promise<HookRun> {
    return new Promise((resolve, reject) => {
      const begun = performance.now();
      const child = spawn('/bin/sh', ['-c', command], { cwd: this.#box.project, env: this.#env });
      const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      child.on('error', reject);
      child.on('close', (code) =>
        resolve({
          code,
          stdout: Buffer.concat(stdout).toString(),
          stderr: Buffer.concat(stderr).toString(),
          milliseconds: performance.now() - begun,
        }),
      );
      // A hook that has nothing to do ends without reading its input.
      child.stdin.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? undefined : reject(error)));
      child.stdin.end(input);
    });
  }
}
