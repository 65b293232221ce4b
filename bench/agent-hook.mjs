// What the assistants' hook costs where it has nothing to do, side by side with `sh -c :`, run by run in turn: medians of
// 200 runs each (RUNS=n), in a temporary project with a save that is young enough. Ends with 1 over 10 ms more.
//   node bench/agent-hook.mjs

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const runs = Number(process.env['RUNS'] ?? 200);
const cora = join(import.meta.dirname, '..', 'bin', 'cora');
const root = mkdtempSync(join(tmpdir(), 'cora-bench-agent-'));
const project = join(root, 'project');
const env = {
  PATH: process.env['PATH'],
  HOME: join(root, 'home'),
  CORA_VAULT: join(root, 'vault'),
  CORA_LOG: join(root, 'log'),
  CLAUDE_PROJECT_DIR: project,
};

try {
  mkdirSync(join(project, '.claude'), { recursive: true });
  mkdirSync(env.HOME);
  writeFileSync(join(project, 'cora.toml'), '');
  execFileSync(cora, ['init', '--agents', '--yes', '--quiet'], { cwd: project, env, stdio: 'ignore' });
  const { hooks } = JSON.parse(readFileSync(join(project, '.claude', 'settings.json'), 'utf8'));
  const commandOf = (event) => hooks[event][0].hooks[0].command;
  const input = (tool, fields) =>
    JSON.stringify({ session_id: 'bench', cwd: project, hook_event_name: 'PreToolUse', tool_name: tool, tool_input: fields });
  const call = (command, text) => {
    const begun = process.hrtime.bigint();
    const { status } = spawnSync('/bin/sh', ['-c', command], { cwd: project, env, input: text });
    if (status !== 0) throw new Error(`${command} ended with ${status}`);
    return Number(process.hrtime.bigint() - begun) / 1e6;
  };
  const kinds = [
    ['sh -c :', ':', ''],
    ['a command that only reads (ls)', commandOf('PreToolUse'), input('Bash', { command: 'ls -la src' })],
    ['a command after a recent save (npm test)', commandOf('PreToolUse'), input('Bash', { command: 'npm test 2>&1 | tail -5' })],
    [
      'an edit of 100 kB after a recent save',
      commandOf('PreToolUse'),
      input('Write', { file_path: `${project}/a.ts`, content: 'x "y"\n'.repeat(15_000) }),
    ],
  ];
  const times = kinds.map(() => []);
  let renewed = 0;
  for (let run = 0; run < runs; run++) {
    // The save must stay younger than a minute.
    if (Date.now() - renewed > 30_000) {
      call(commandOf('SessionStart'), JSON.stringify({ cwd: project, source: 'resume' }));
      renewed = Date.now();
    }
    for (const [index, [, command, text]] of kinds.entries()) times[index].push(call(command, text));
  }
  const medians = times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
  const [bare] = medians;
  kinds.forEach(([name], index) => {
    console.log(`${medians[index].toFixed(1).padStart(6)} ms  ${(medians[index] - bare).toFixed(1).padStart(5)} more  ${name}`);
  });
  if (medians.some((median) => median - bare > 10)) process.exitCode = 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}
