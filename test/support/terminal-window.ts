// A real terminal for interactive shells: one window of a tmux server of its own, in the test's sandbox. What is
// typed is typed key by key, and what is seen is what a person would see.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { execute } from './sandbox.ts';

export type WindowOptions = {
  /** Absolute program and arguments, as one command line for sh. */
  readonly command: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
};

const TMUX = '/usr/bin/tmux';
let windows = 0;

export class TerminalWindow {
  readonly #socket: string;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(socket: string, env: NodeJS.ProcessEnv) {
    this.#socket = socket;
    this.#env = env;
  }

  /** @param directory where the server's socket lies */
  static async open(directory: string, { command, cwd, env, columns = 100, rows = 40 }: WindowOptions): Promise<TerminalWindow> {
    windows += 1;
    const socket = join(directory, `tmux-${windows}`);
    const window = new TerminalWindow(socket, { TERM: 'screen', LANG: 'C.UTF-8', ...env });
    await window.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', String(columns), '-y', String(rows), '-c', cwd, command);
    return window;
  }

  async #tmux(...args: string[]): Promise<string> {
    const run = await execute(TMUX, ['-S', this.#socket, ...args], { env: this.#env });
    if (run.code !== 0) throw new Error(`tmux ${args.join(' ')}: ${run.stderr}`);
    return run.stdout;
  }

  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', '--', text);
  }

  /** Keys by tmux's names: Tab, Enter, C-c, C-u. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys);
  }

  /** What is on the screen, without empty lines at its end. */
  async screen(): Promise<string> {
    return (await this.#tmux('capture-pane', '-p')).trimEnd();
  }

  /** The same with the lines that the terminal broke in one. */
  async joined(): Promise<string> {
    return (await this.#tmux('capture-pane', '-p', '-J')).trimEnd();
  }

  /** The same with the escapes of its colours. */
  colours(): Promise<string> {
    return this.#tmux('capture-pane', '-p', '-e');
  }

  /** The screen once it looks as it should; throws with what it showed instead. */
  async until(expected: RegExp, milliseconds = 8000): Promise<string> {
    const end = Date.now() + milliseconds;
    for (;;) {
      const screen = await this.screen();
      if (expected.test(screen)) return screen;
      if (Date.now() > end) throw new Error(`The terminal never showed ${expected}:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  }

  /** Ends the shell and all that it started. */
  async close(): Promise<void> {
    await execute(TMUX, ['-S', this.#socket, 'kill-server'], { env: this.#env });
    rmSync(this.#socket, { force: true });
  }
}
