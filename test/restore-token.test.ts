// The right to carry out one restore plan: once, soon, and only while snapshot, plan and live files are those
// that were shown.

import { renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { planRestore, type RestoreOptions } from '../src/actions/restore-plan.ts';
import {
  guardOf,
  PLAN_LIFE_MS,
  planAgain,
  requireUnchanged,
  type Tickets,
  ticketFor,
  ticketsInMemory,
  ticketsInVault,
} from '../src/actions/restore-token.ts';
import { bytes, fromText } from '../src/base/bytes.ts';
import { type Context, SILENT } from '../src/base/context.ts';
import { locateVault } from '../src/vault/locate.ts';
import { findProject } from '../src/vault/project.ts';
import { Sandbox } from './support/sandbox.ts';

let sandbox: Sandbox;
let id = '';
beforeEach(async () => {
  sandbox = new Sandbox({ fast: true });
  for (const name of ['a', 'b']) writeFileSync(at(name), 'saved');
  new Database(at('notes.db')).exec('CREATE TABLE note (text)').close();
  ({ id } = await sandbox.snapshot(['save', '-m', 'first']));
  writeFileSync(at('a'), 'later');
});
afterEach(() => sandbox.remove());

const at = (path: string) => join(sandbox.project, path);
const ctx = (now: number): Context => ({
  monitor: SILENT,
  now: () => now,
  signal: new AbortController().signal,
  workers: 0,
  lockWait: 0,
  version: 'test',
});

async function planned(paths: readonly string[], target: string | undefined = undefined) {
  const project = await findProject(fromText(sandbox.project), undefined);
  const location = locateVault(project, undefined, { explicit: sandbox.vault, uid: 0, home: undefined, xdgStateHome: undefined });
  const options: RestoreOptions = {
    target: target === undefined ? undefined : bytes(target),
    paths: paths.map(fromText),
    to: undefined,
    critical: false,
    overwrite: undefined,
  };
  // Snapshots of now are not from the future of a clock that stands still.
  const clock = Date.now();
  const ticket = ticketFor(await planRestore(project, location, options, ctx(clock)), options, clock);
  return { ticket, again: (late = 0) => planAgain(ticket, project, location, ctx(clock + late)) };
}

const refused = { code: 'refused' };

test('a plan is made again as it was shown, also where another snapshot is the newest by then', async () => {
  const { ticket, again } = await planned(['a']);
  expect(ticket.token).toMatch(/^plan-[0-9a-f]{16}$/);
  writeFileSync(at('c'), 'new');
  await sandbox.snapshot(['save', '-m', 'second']);
  const plan = await again();
  expect(plan.id).toBe(id);
  expect(plan.changes.map(({ action, path }) => [action, path])).toEqual([['replace', 'a']]);
});

test('ID:path is one path of that snapshot the second time too', async () => {
  const { ticket, again } = await planned([], `${id}:a`);
  expect(ticket.options).toMatchObject({ target: id, paths: ['a'] });
  expect((await again()).changes).toHaveLength(1);
});

test('a plan that would do something else with the same live files is refused', async () => {
  const { ticket, again } = await planned(['a']);
  const plan = await again();
  const others = [
    { modes: plan.modes === 'live' ? ('snapshot' as const) : ('live' as const) },
    { inPlace: !plan.inPlace },
    { kind: 'backup' as const },
  ];
  for (const other of others) expect(() => requireUnchanged(ticket, { ...plan, ...other }), JSON.stringify(other)).toThrow(/something else/);
  requireUnchanged(ticket, plan);
});

test('a live file that was changed, put back with its old time, replaced or removed is refused', async () => {
  const change: Record<string, () => void> = {
    changed: () => writeFileSync(at('a'), 'other'),
    'put back': () => {
      writeFileSync(at('a'), 'later');
      utimesSync(at('a'), 1, 1);
    },
    replaced: () => {
      writeFileSync(at('new'), 'later');
      renameSync(at('new'), at('a'));
    },
    removed: () => renameSync(at('a'), at('gone')),
  };
  for (const [what, act] of Object.entries(change)) {
    writeFileSync(at('a'), 'later');
    utimesSync(at('a'), 1, 1);
    const { again } = await planned(['a']);
    act();
    await expect(again(), what).rejects.toMatchObject(refused);
  }
});

test('rows that a database got since are a change; what the plan does not concern is none', async () => {
  const { again } = await planned(['a', 'notes.db']);
  writeFileSync(at('b'), 'not of the plan');
  writeFileSync(at('c'), 'new beside it');
  await again();
  const program = new Database(at('notes.db'));
  program.pragma('journal_mode = wal');
  program.exec("INSERT INTO note VALUES ('later')");
  await expect(again()).rejects.toMatchObject(refused);
  program.close();
});

test('right before entries change places, files that were changed while they were staged are found; databases are not theirs to judge', async () => {
  const plan = await (await planned(['a', 'notes.db'])).again();
  const requireSame = guardOf(plan)();
  new Database(at('notes.db')).exec("INSERT INTO note VALUES ('later')").close();
  requireSame();
  writeFileSync(at('a'), 'meanwhile');
  expect(requireSame).toThrow('changed meanwhile');
});

test('after ten minutes, and where the clock was set back, a plan is refused', async () => {
  const { again } = await planned(['a']);
  await again(PLAN_LIFE_MS - 1);
  await expect(again(PLAN_LIFE_MS)).rejects.toMatchObject(refused);
  await expect(again(-1)).rejects.toMatchObject(refused);
});

test('another plan under the same ticket is refused', async () => {
  const { ticket } = await planned(['a']);
  const other = await (await planned(['a', 'b'])).again();
  expect(() => requireUnchanged(ticket, other)).toThrow('nothing was restored');
});

test('a token is good once, and only where it was kept', async () => {
  const { ticket } = await planned(['a']);
  const places: Record<string, () => Tickets> = {
    memory: ticketsInMemory,
    // A second run has nothing of the first one but the vault.
    vault: () => ticketsInVault(sandbox.vault, Date.now()),
  };
  for (const [place, open] of Object.entries(places)) {
    const first = open();
    first.keep(ticket);
    const second = place === 'vault' ? open() : first;
    expect(second.take(ticket.token)).toMatchObject({ token: ticket.token, plan: ticket.plan, tree: ticket.tree });
    for (const token of [ticket.token, 'plan-0000000000000000', '', '../../VAULT', '__proto__'])
      expect(() => first.take(token)).toThrow('No restore plan');
    expect(() => open().take(ticket.token)).toThrow('No restore plan');
  }
  ticketsInVault(sandbox.vault, Date.now()).keep(ticket);
  writeFileSync(join(sandbox.vault, '.cache/plans', `${ticket.token}.json`), '{"token":');
  expect(() => ticketsInVault(sandbox.vault, Date.now()).take(ticket.token)).toThrow('No restore plan');
});

test('plans that nobody carried out make room', async () => {
  const { ticket } = await planned(['a']);
  const memory = ticketsInMemory();
  for (let count = 0; count <= 100; count++) memory.keep({ ...ticket, token: `plan-${count}` });
  expect(() => memory.take('plan-0')).toThrow('No restore plan');
  expect(memory.take('plan-100').token).toBe('plan-100');
  ticketsInVault(sandbox.vault, Date.now()).keep(ticket);
  const later = { ...ticket, token: 'plan-1111111111111111' };
  ticketsInVault(sandbox.vault, Date.now() + 2 * PLAN_LIFE_MS).keep(later);
  expect(() => ticketsInVault(sandbox.vault, Date.now()).take(ticket.token)).toThrow('No restore plan');
});
