// The notes below ledger/ with wrong shapes in them, one value at a time: commands end with a code of their own and a sentence,
// and the file is named where it was believed before. (Bytes flipped at random in all files: spoilt-files.test.ts.)

import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/base/errors.ts';
import { coraHere } from '../support/in-process.ts';
import { Sandbox } from '../support/sandbox.ts';

const SLOW = process.env['CORA_TEST_SLOW'] === '1';
const ID = '20261121-120000-nogit';
const TIME = '2026-11-21T12:00:00.000Z';
const HASH = 'a'.repeat(64);
const copy = { id: ID, kind: 'backup', shipped_at: TIME, checked_at: TIME, bytes: 1, files: 3, encryption: 'age', marker_sha256: HASH };
const locked = { ...copy, lock: { state: 'locked', mode: 'GOVERNANCE', until: TIME } };
const remote = { env: 'x', copies: { [`backup ${ID}`]: locked }, last_try: TIME, error: 'e', hint: 'h', opened_at: TIME, retired: ['save 1'] };

/** One sound note of each kind. */
const NOTES: Readonly<Record<string, unknown>> = {
  offsite: { schema: 1, remotes: { 'far:bucket': remote } },
  'missing-lines': { schema: 1, sequence: 9, hash: HASH, lost: [{ sequence: 9, kind: 'save', id: ID }] },
  protected: [{ path: 'notes.md', path_base64: 'bm90ZXMubWQ=' }],
  lifted: [{ path: 'notes.md' }],
  rotating: { path: 'notes.md', path_base64: 'bm90ZXMubWQ=', drained_to: 0, proven: 1, sha256: HASH },
  init: {
    schema: 1,
    made_at: TIME,
    files: [{ path: '/none', sha256: HASH }],
    directories: ['/none'],
    hooks: true,
    timers: { user: true, unit_directory: '/none' },
    recipient: { path: '/none', inserted: 'x' },
    agents: [{ path: 'none', kind: 'file', made: true, inserted: ['x'] }],
    key: '/none',
  },
  pruning: [{ kind: 'save', id: ID }],
  adopted: { schema: 1, adopted: [{ path: '/none', kind: ['cora'], adopted_at: TIME }] },
};
const WRONG: readonly unknown[] = [null, [], { x: 1 }, 7, 'x'];
const COMMANDS = [['status'], ['health'], ['list'], ['verify', '--all', '--chain'], ['save'], ['init', '--undo', '--dry-run']] as const;

/** The value with one thing in it replaced by each wrong one; undefined values are left out by JSON. */
function* spoilt(value: unknown): Generator<unknown> {
  yield* WRONG;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    for (const wrong of [...spoilt(inner), undefined]) {
      if (Array.isArray(value)) yield value.map((one, at) => (String(at) === key ? wrong : one));
      else yield { ...value, [key]: wrong };
    }
  }
}

describe('notes of the ledger with wrong shapes', () => {
  let sandbox: Sandbox;
  let sound: string;

  beforeAll(async () => {
    sandbox = new Sandbox({ fast: true });
    sound = join(sandbox.root, 'sound');
    writeFileSync(join(sandbox.project, 'notes.md'), 'notes\n');
    writeFileSync(join(sandbox.project, 'cora.toml'), '[offsite]\nremote = "far:bucket"\nenv = "x"\n');
    mkdirSync(join(sandbox.home, '.config'));
    expect((await sandbox.cora(['save'])).code).toBe(0);
    cpSync(join(sandbox.vault, 'ledger'), sound, { recursive: true });
  });
  afterAll(() => sandbox.remove());

  async function look(file: string, text: string, commands: readonly (readonly string[])[]): Promise<string[]> {
    const bad: string[] = [];
    for (const args of commands) {
      writeFileSync(join(sandbox.vault, 'ledger', `${file}.json`), text);
      const { code, stdout, stderr } = await coraHere(sandbox, ['--json', ...args]);
      if (code === EXIT.internal || /^\s+at /m.test(stderr) || !stdout.endsWith('}\n'))
        bad.push(`${args.join(' ')} of ${text}: ${code} ${stdout}${stderr}`);
    }
    rmSync(join(sandbox.vault, 'ledger', `${file}.json`), { force: true });
    return bad;
  }

  for (const [file, note] of Object.entries(NOTES)) {
    it(`${file}.json`, { timeout: 120_000 }, async () => {
      const text = JSON.stringify(note);
      const bad: string[] = [];
      for (const whole of ['', 'null', '[]', '{"x":1}', text.slice(0, text.length / 2)]) bad.push(...(await look(file, whole, COMMANDS)));
      // Every value of it in turn; to be quick, with the next command each time.
      const parts = [...spoilt(note)].map((one) => JSON.stringify(one));
      for (const [at, one] of parts.entries()) bad.push(...(await look(file, one, SLOW ? COMMANDS : [COMMANDS[at % COMMANDS.length] ?? ['status']])));
      expect(bad).toEqual([]);
    });
  }

  it('a damaged offsite.json is named, with what is wrong in it, and the sound copies in it still count', async () => {
    const more = { ...copy, id: '20261120-120000-nogit', lock: null };
    const remotes = { 'far:bucket': { ...remote, copies: { [`backup ${ID}`]: copy, 'backup 20261120-120000-nogit': more } } };
    writeFileSync(join(sandbox.vault, 'ledger/offsite.json'), JSON.stringify({ schema: 1, remotes }));
    const status = JSON.parse((await coraHere(sandbox, ['--json', 'status'])).stdout) as { result: { warnings: object[]; offsite: object[] } };
    const message = expect.stringMatching(
      /ledger\/offsite\.json in the vault is damaged \(remotes\.far:bucket\.copies\.backup 20261120-120000-nogit/,
    ) as string;
    expect(status.result.warnings).toContainEqual(expect.objectContaining({ message, next: 'cora ship' }));
    expect(status.result.offsite).toMatchObject([{ copies: 1 }]);
    const health = await coraHere(sandbox, ['--json', 'health']);
    expect(health.stdout).toContain('offsite.json in the vault is damaged');
  });
});
