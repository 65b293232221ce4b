// `cora serve`: its description, the state it tells, its events and its figures, against a real vault.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { routesOf } from '../src/cli/http/routes.ts';
import type { Around } from '../src/cli/http/serving.ts';
import { findProgram } from '../src/os/run.ts';
import { Sandbox } from './support/sandbox.ts';
import { type Server, startServer } from './support/serve.ts';

let sandbox: Sandbox;
let server: Server;

beforeAll(async () => {
  sandbox = new Sandbox({ fast: true });
  mkdirSync(join(sandbox.project, 'src'));
  writeFileSync(join(sandbox.project, 'src/app.ts'), 'export const answer = 42;\n');
  writeFileSync(join(sandbox.project, 'AI_WORK_LOG.md'), 'first line\n');
  await sandbox.snapshot(['backup', 'now']);
  server = await startServer(sandbox);
});
afterAll(async () => {
  await server.stop('SIGKILL');
  await sandbox.remove();
});

type Schema = Parameters<typeof z.fromJSONSchema>[0];
type Operation = {
  readonly operationId: string;
  readonly security?: readonly unknown[];
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }>>;
};
type OpenApi = {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: { readonly Problem: Schema } };
};

/** What a real answer has that its description does not allow, or lacks. */
function differences(schema: Schema | undefined, value: unknown): unknown {
  if (schema === undefined) return 'no schema';
  const result = z.fromJSONSchema(schema).safeParse(value);
  return result.success ? [] : result.error.issues;
}

test('the description is OpenAPI 3.1, every route of the table is in it, and real answers are as it says', async () => {
  const api = await server.get<OpenApi>('/openapi.json');
  expect(api.openapi).toBe('3.1.0');
  expect(await server.get('/api/v1/openapi.json')).toEqual(api);
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(operations.filter(({ operation }) => operation.security?.length === 0).map(({ path }) => path)).toEqual([
    '/',
    '/favicon.ico',
    '/api/v1/login',
  ]);
  const table = routesOf({} as Around).map(({ method, path }) => `${method.toLowerCase()} ${path}`);
  expect(operations.map(({ path, method }) => `${method} ${path}`).toSorted()).toEqual(table.toSorted());
  expect(table.length).toBeGreaterThan(8);
  const { stamp } = (await server.get<{ backups: { stamp: string }[] }>('/admin/backup')).backups[0]!;
  // All that needs no parameter, and that with the one.
  const plain = operations.filter(({ path, method }) => method === 'get' && !path.includes('{'));
  for (const { path, operation } of [...plain, ...operations.filter((one) => one.path === '/admin/backup/{stamp}/validate')]) {
    const schema = operation.responses['200']?.content['application/json']?.schema;
    if (schema === undefined) continue;
    const answer = await server.ask(path.replace('{stamp}', stamp));
    if (answer.status === 200) expect(differences(schema, answer.json()), path).toEqual([]);
    else expect(differences(api.components.schemas.Problem, answer.json()), path).toEqual([]);
  }
  const made = await server.post('/admin/backup');
  expect(differences(api.paths['/admin/backup']?.['post']?.responses['200']?.content['application/json']?.schema, made.json())).toEqual([]);
  for (const [path, asked] of [
    ['/nothing', {}],
    ['/api/v1/health', { token: false }],
    ['/admin/backup/x/validate', {}],
  ] as const)
    expect(differences(api.components.schemas.Problem, (await server.ask(path, asked)).json()), path).toEqual([]);
});

test('health has the five promises, and sees what another Cora did', async () => {
  type Promises = {
    readonly promises: readonly { readonly name: string; readonly kept: boolean | null; readonly at: string | null; readonly next: string | null }[];
  };
  const before = await server.get<Promises>('/api/v1/health');
  expect(before.promises.map(({ name }) => name)).toEqual(['durable', 'verified', 'sealed', 'offsite', 'drilled']);
  const of = ({ promises }: Promises, name: string) => promises.find((one) => one.name === name)!;
  expect(of(before, 'durable')).toMatchObject({ kept: true, next: null });
  // A backup is read back before it is claimed, and the list of snapshots calls it verified too.
  expect(of(before, 'verified')).toMatchObject({ kept: true, next: null, text: expect.stringContaining('was read back when it was made') });
  expect(of(before, 'offsite')).toMatchObject({ kept: null });
  expect((await sandbox.cora(['verify'])).code).toBe(0);
  expect((await sandbox.cora(['drill', '--json'])).code).toBe(0);
  const after = await server.get<Promises>('/api/v1/health');
  expect(of(after, 'verified')).toMatchObject({ kept: true, next: null });
  expect(of(after, 'drilled')).toMatchObject({ kept: true });
  expect(Date.now() - Date.parse(of(after, 'verified').at ?? '')).toBeLessThan(120_000);
  expect(await server.get('/api/v1/status')).toMatchObject({ project: { name: 'project' }, last_verify: { ok: true } });
});

test('the figures are what Prometheus reads', async (context) => {
  const answer = await server.ask('/metrics');
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect((await server.ask('/metrics', { token: false })).status).toBe(401);
  const figure = (name: string) =>
    Number(
      answer.text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1],
    );
  expect(figure('cora_promise_kept{promise="durable"}')).toBe(1);
  expect(figure('cora_promise_age_seconds{promise="durable"}')).toBeLessThan(600);
  expect(figure('cora_last_run_ok{kind="backup"}')).toBe(1);
  expect(figure('cora_snapshots{kind="backup"}')).toBeGreaterThan(0);
  expect(figure('cora_vault_bytes')).toBeGreaterThan(1000);
  expect(figure('cora_last_backup_bytes')).toBeGreaterThan(100);
  expect(answer.text).not.toMatch(/NaN|undefined|null/);
  const promtool = findProgram('promtool');
  if (promtool === undefined) return context.skip('no promtool');
  const checked = spawnSync(promtool, ['check', 'metrics'], { input: answer.text, encoding: 'utf8' });
  expect(`${checked.status}${checked.stdout}${checked.stderr}`).toBe('0');
});

type Event = { readonly id: string | undefined; readonly event: string; readonly data: Readonly<Record<string, unknown>> };

/** Listens until `enough`, and leaves. */
async function listen(enough: (events: readonly Event[]) => boolean, lastId?: string, then?: () => void): Promise<readonly Event[]> {
  const headers = { Authorization: `Bearer ${server.token}`, ...(lastId === undefined ? {} : { 'Last-Event-ID': lastId }) };
  const events: Event[] = [];
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${server.url}api/v1/events`, { headers, agent: false }, resolve).on('error', reject);
  });
  expect(response.headers['content-type']).toBe('text/event-stream; charset=utf-8');
  let rest = '';
  then?.();
  for await (const chunk of response) {
    const parts = `${rest}${String(chunk)}`.split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const field = (name: string) =>
        part
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      events.push({ id: field('id'), event: field('event') ?? '', data: JSON.parse(field('data') ?? 'null') });
    }
    if (enough(events)) break;
  }
  return events;
}

test('who listens hears how a backup goes on, and after a break what was missed', { timeout: 30_000 }, async () => {
  let made: Promise<unknown> | undefined;
  const events = await listen(
    (all) => all.some(({ event }) => event === 'ended'),
    undefined,
    () => {
      made = server.post('/admin/backup');
    },
  );
  await made;
  expect(events[0]).toMatchObject({ event: 'hello', id: undefined, data: { runs: [] } });
  const told = events.filter(({ event }) => event !== 'changed').map(({ event, data }) => (event === 'phase' ? `phase ${data['phase']}` : event));
  expect(told).toEqual(expect.arrayContaining(['hello', 'started', 'phase scan', 'phase export', 'ended']));
  expect(events.at(-1)).toMatchObject({ event: 'ended', data: { ok: true, command: 'backup now' } });
  const runs = new Set(events.flatMap(({ data }) => (data['run'] === undefined ? [] : [data['run']])));
  expect(runs.size).toBe(1);
  const ids = events.slice(1).map(({ id }) => Number(id));
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  const second = events[2]!;
  const again = await listen((all) => all.some(({ event }) => event === 'ended'), second.id);
  expect(again.slice(1).map(({ id }) => id)).toEqual(expect.arrayContaining(events.slice(3).map(({ id }) => id)));
  expect(again.map(({ id }) => id)).not.toContain(second.id);
  for (const id of ['1', 'x', '99999999999999999']) expect((await listen((all) => all.length > 1, id))[1]).toMatchObject({ event: 'reset' });
  // What another Cora does is seen by the ledger's end.
  const changed = await listen(
    (all) => all.some(({ event }) => event === 'changed'),
    undefined,
    () => void sandbox.cora(['verify']),
  );
  expect(changed.find(({ event }) => event === 'changed')?.data).toMatchObject({ kind: 'verify' });
});

test('at most sixteen listen, and who leaves makes room', async () => {
  const headers = { Authorization: `Bearer ${server.token}` };
  const open = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      get(`${server.url}api/v1/events`, { headers, agent: false }, resolve).on('error', reject);
    });
  const listeners = await Promise.all(Array.from({ length: 16 }, open));
  expect(listeners.map(({ statusCode }) => statusCode)).toEqual(listeners.map(() => 200));
  const late = await open();
  expect([late.statusCode, late.headers['content-type'], late.headers['retry-after']]).toEqual([503, 'application/problem+json', '10']);
  late.destroy();
  for (const one of listeners) one.destroy();
  await expect
    .poll(async () => {
      const one = await open();
      one.destroy();
      return one.statusCode;
    })
    .toBe(200);
});

test('a backup that was made while something was lost is not what the promises stand on, and not all is well', async () => {
  type State = {
    readonly level: string;
    readonly checks: readonly { readonly name: string; readonly level: string }[];
    readonly promises: readonly object[];
  };
  const { stamp } = (await server.get<{ backups: { stamp: string }[] }>('/admin/backup')).backups.at(-1)!;
  const log = join(sandbox.project, 'AI_WORK_LOG.md');
  const text = readFileSync(log);
  rmSync(log);
  const made = await sandbox.json(['backup', 'now']);
  expect(made.code).toBe(3);
  writeFileSync(log, text);
  await sandbox.snapshot(['save']);
  const state = await server.get<State>('/api/v1/health');
  expect(state.level).toBe('warning');
  expect(state.checks).toContainEqual(expect.objectContaining({ name: 'backup', level: 'warning', next: 'cora backup now' }));
  const sealed = state.promises.find((one) => 'name' in one && one.name === 'sealed') as { readonly snapshot_id: string; readonly text: string };
  expect(sealed.text).toMatch(/^The newest good backup \(/);
  expect(sealed.snapshot_id).not.toBe(made.result['snapshot_id']);
  expect((await server.get<{ backups: { stamp: string }[] }>('/admin/backup')).backups.map((one) => one.stamp)).toContain(stamp);
});
