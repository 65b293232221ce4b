// A project with some weeks behind it, as somebody would meet it at the page: saves and backups at many times (where faketime is
// there, else all of now), an accident, a copy off-site, a drill. Not a test.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { findProgram } from '../../src/os/run.ts';
import { execute, PATH, type Sandbox } from './sandbox.ts';

const CORA = join(import.meta.dirname, '..', '..', 'bin', 'cora');
const DAY_MS = 86_400_000;
const faketime = findProgram('faketime');

/** Names that others chose, each of which would be markup, an order to a terminal, or a lie about what stands beside it. */
export const NAMES = {
  script: '<img src=x onerror=alert(1)><script>alert(2)<!--.md',
  bidi: 'invoice-\u202egpj.exe',
  escape: 'note\u001b[2J\u001b]0;owned\u0007.txt',
  quotes: '"><svg onload=alert(3)> \'`alert(4)`.txt',
  blank: 'zero\u200bwidth\u2066.txt',
  newline: 'two\nlines.txt',
};
export const LABEL = '</script><script>alert(5)</script>';
export const NOTE = 'a note with <b onmouseover=alert(6)>markup</b> and \u202eturned\u202c text';

/** @returns removes what lies outside the sandbox: the other disk, where there is one in memory */
export async function livedIn(sandbox: Sandbox): Promise<() => void> {
  const { project, home, vault, root } = sandbox;
  const at = (path: string) => join(project, path);
  const write = (path: string, content: string | Buffer) => {
    mkdirSync(join(at(path), '..'), { recursive: true });
    writeFileSync(at(path), content);
  };
  const begun = Date.now();
  const env = { PATH, HOME: home, CORA_VAULT: vault, CORA_LOG: join(root, 'cora.log'), TZ: 'UTC' };
  const cora = async (daysAgo: number, ...args: readonly string[]) => {
    const time = new Date(begun - daysAgo * DAY_MS).toISOString().slice(0, 19).replace('T', ' ');
    const fake = faketime !== undefined && daysAgo > 0;
    const run = fake
      ? await execute(faketime, ['-f', `@${time}`, CORA, ...args, '--json'], { cwd: project, env })
      : await execute(CORA, [...args, '--json'], { cwd: project, env });
    const { error } = JSON.parse(run.stdout) as { error?: { code: string; message: string } };
    if (error !== undefined) throw new Error(`cora ${args.join(' ')}: ${error.code}: ${error.message}`);
  };

  const nas = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : root, 'cora-nas-'));
  write('cora.toml', `[offsite]\nremote = ${JSON.stringify(nas)}\nenv = "prod"\nafter_backup = false\nallow_plaintext = true\n`);
  write('README.md', '# Notes\n\nA small server for notes.\n');
  write('src/app.ts', source(1));
  write('src/server/routes.ts', source(2));
  write('AI_WORK_LOG.md', 'Day 1: began.\n'.repeat(200));
  const database = new DatabaseSync(at('data.db'));
  database.exec('CREATE TABLE notes(id INTEGER PRIMARY KEY, title TEXT, body TEXT)');
  const add = (count: number) => {
    for (let one = 0; one < count; one++) database.prepare('INSERT INTO notes(title, body) VALUES (?, ?)').run(`note ${one}`, 'x'.repeat(300));
  };
  add(120);
  for (let photo = 0; photo < 12; photo++) write(`uploads/photo-${String(photo).padStart(2, '0')}.jpg`, noise(photo, 60_000));
  await cora(27, 'save', '-m', 'first save');
  await cora(26.9, 'backup', 'now', '-m', 'first backup');
  for (const [index, days] of [24, 21, 19, 16, 13].entries()) {
    write('src/app.ts', source(index + 3));
    write(`uploads/more-${index}.jpg`, noise(100 + index, 90_000 * (index + 1)));
    add(40);
    await cora(days, 'save', ...(index === 2 ? ['--label', 'before-migration'] : []));
    if (index % 2 === 1) await cora(days - 0.3, 'backup', 'now');
  }
  // An accident, and what was done about it.
  write('AI_WORK_LOG.md', '');
  await cora(9.5, 'save');
  write('AI_WORK_LOG.md', 'Day 1: began.\n'.repeat(260));
  for (const name of Object.values(NAMES)) write(`inbox/${name}`, `${name}\n`);
  await cora(9.4, 'save', '--label', LABEL, '-m', NOTE);
  write('notes/plan.md', '# Plan\n\n- write it down\n- keep it\n');
  await cora(6, 'backup', 'now');
  write('src/server/routes.ts', source(30));
  write('notes/plan.md', '# Plan\n\n- write it down\n- keep it\n- tell nobody\n');
  add(30);
  await cora(2.2, 'save');
  rmSync(at('notes'), { recursive: true });
  database.exec("UPDATE notes SET title = 'renamed' WHERE id = 7");
  database.close();
  await cora(1, 'save', '-m', 'notes tidied up');
  write('src/app.ts', source(40));
  await cora(0, 'backup', 'now', '-m', 'tonight');
  await cora(0, 'ship');
  await cora(0, 'verify');
  await cora(0, 'drill');
  return () => rmSync(nas, { recursive: true, force: true });
}

function source(version: number): string {
  const lines = Array.from({ length: 60 }, (_none, line) => `export const value${line} = ${line * (line % 7 === version % 7 ? version : 1)};`);
  return `// version ${version}\n${lines.join('\n')}\n`;
}

/** Bytes that do not compress, the same in every run. */
function noise(seed: number, size: number): Buffer {
  const content = Buffer.alloc(size);
  let state = seed * 2_654_435_761 + 1;
  for (let index = 0; index < size; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    content[index] = state >>> 16;
  }
  return content;
}
