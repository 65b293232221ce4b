// `cora recover` where the disk fails it in the end, or in the middle: what was done is done, why it failed is told, and the
// vault that it makes is whole or not there, without another `cora recover`. (All of its calls: crash-points.test.ts.)

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tryRemove } from '../../src/os/files.ts';
import { findProgram } from '../../src/os/run.ts';
import { type Call, type Fault, traced } from './harness/inject.ts';
import type { Place } from './harness/place.ts';
import { MORE_SCENARIOS } from './harness/scenarios-more.ts';
import { newPlace, prepare } from './harness/trial.ts';

const missing = ['strace', 'rclone'].filter((name) => findProgram(name) === undefined);
const recover = MORE_SCENARIOS.find(({ name }) => name === 'recover')!;

describe.skipIf(missing.length > 0)(
  `recover on a disk that fails${missing.length > 0 ? ` (needs ${missing.join(', ')})` : ''}`,
  { timeout: 240_000 },
  () => {
    let place: Place;
    let args: readonly string[];

    beforeAll(async () => {
      place = await newPlace();
      await recover.before?.(place);
      place.keep();
      args = (recover.args as (at: Place) => readonly string[])(place);
    }, 240_000);
    afterAll(() => place.remove());

    function callOn(name: string, path: string, number = 1): Call {
      return { name, what: path, path: join(place.vault, path), number, turn: number, thread: 0, injected: undefined };
    }

    /** A recovery whose n-th call of that name on a path of the vault meets the fault. */
    async function failing(name: string, path: string, fault: Fault, number = 1) {
      place.reset();
      const run = await traced(place, args, { call: callOn(name, path, number), fault });
      expect(run.hit, `${name} of ${path} was not met`).toBeDefined();
      return run.end;
    }

    /** The vault as it lies there is sound; how many snapshots it has. */
    async function soundVault(): Promise<number> {
      if (!existsSync(place.vault)) return 0;
      const verified = await place.cora(['verify', '--all', '--chain', '--json']);
      expect({ code: verified.code, said: verified.stdout }).toMatchObject({ code: 0 });
      const listed = await place.cora(['list', '--json']);
      return (JSON.parse(listed.stdout) as { result: { snapshots: readonly unknown[] } }).result.snapshots.length;
    }

    it('a lock file that cannot be removed in the end makes no failure of what is done', async () => {
      const end = await failing('unlink', '.stage/fetch.lock', 'EIO');
      expect(end).toMatchObject({ code: 0 });
      expect(await soundVault()).toBeGreaterThan(0);
    });

    it('nor does it hide why a recovery failed', async () => {
      place.reset();
      const archives = readdirSync(place.at('remote'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('-full.tar.gz'));
      for (const name of archives) writeFileSync(place.at('remote', name), 'something else');
      const call = callOn('unlink', '.stage/fetch.lock');
      const { end, hit } = await traced(place, args, { call, fault: 'EIO' });
      expect(hit).toBeDefined();
      expect({ code: end.code, said: end.stdout }).toMatchObject({ code: 21, said: expect.stringContaining('altered') as string });
    });

    for (const [name, number, fault] of [
      ['fsync', 1, 'EIO'],
      ['fsync', 2, 'EIO'],
      ['write', 2, 'KILL'],
    ] as const) {
      it(`${fault} at the ${number}. ${name} of the ledger: the vault is whole before anybody recovers again`, async () => {
        const end = await failing(name, 'ledger/chain.log', fault, number);
        expect(end.code).toBe(fault === 'KILL' ? null : 1);
        await soundVault();
        const again = await place.cora(args);
        expect({ code: again.code, said: again.stderr }).toMatchObject({ code: 0 });
        expect(await soundVault()).toBeGreaterThan(0);
        const lines = readFileSync(join(place.vault, 'ledger/chain.log'), 'utf8').split('\n');
        const recorded = lines.map((line) => line.split(' ').slice(1, 3).join(' ')).filter((key) => /^(?:save|backup) /.test(key));
        expect(new Set(recorded).size).toBe(recorded.length);
      });
    }
  },
);

describe('what a run leaves over', () => {
  it('is removed where the disk lets it, and is no error where it does not', () => {
    const directory = mkdtempSync(join(tmpdir(), 'cora-left-'));
    try {
      expect(tryRemove(join(directory, 'none'))).toBe(true);
      // Not even root removes what is no file there.
      expect(tryRemove('/proc/self')).toBe(false);
      expect(tryRemove(directory)).toBe(true);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it('of a trial whose start fails is nothing', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'cora-left-'));
    const before = process.env['CORA_FAULTS_DIR'];
    process.env['CORA_FAULTS_DIR'] = parent;
    try {
      const broken = { name: 'broken', args: ['list'], bare: true as const, before: () => Promise.reject(new Error('no start')) };
      await expect(prepare(broken)).rejects.toThrow('no start');
      expect(readdirSync(parent)).toEqual([]);
    } finally {
      if (before === undefined) delete process.env['CORA_FAULTS_DIR'];
      else process.env['CORA_FAULTS_DIR'] = before;
      rmSync(parent, { recursive: true, force: true });
    }
  });
});
