// How the project's protection is now: health with the five promises, the status, and the same as figures for Prometheus.

import { z } from 'zod';
import type { KeptPromise } from '../../actions/promises.ts';
import { toText } from '../../base/bytes.ts';
import { VERSION } from '../../base/version.ts';
import { metricsText } from './metrics.ts';
import { type Route, route } from './route.ts';
import type { Around } from './serving.ts';

const promise = z.object({
  name: z.enum(['durable', 'verified', 'sealed', 'offsite', 'drilled']),
  kept: z.boolean().nullable().describe('null: never tried, or nothing of it is set up'),
  at: z.string().nullable().describe('RFC 3339: of what it stands on'),
  age_seconds: z.number().nullable(),
  snapshot_id: z.string().nullable(),
  text: z.string(),
  next: z.string().nullable().describe('the command to type'),
});

const check = z.object({
  name: z.string(),
  level: z.enum(['ok', 'note', 'warning', 'critical']),
  message: z.string(),
  next: z.string().nullable().describe('the command to type'),
});

export function stateRoutes({ watch }: Around): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/v1/health',
      summary: 'Does the protection work?',
      about:
        'The checks of cora health and the five promises, each with the command to type. Looked at again after 10 seconds, or when the ledger grew.',
      command: 'status',
      output: z.object({
        level: z.enum(['ok', 'warning', 'critical']),
        promises: z.array(promise),
        checks: z.array(check),
        version: z.string(),
        project: z.string(),
        root: z.string(),
        vault: z.string(),
      }),
      run: async (_input, session) => {
        const { project, location } = await session.open();
        const { health, promises } = await watch(session);
        return {
          data: {
            level: health.health,
            promises: promises.map((one) => promiseDocument(one, session.ctx.now())),
            checks: health.checks,
            version: VERSION,
            project: project.name,
            root: toText(project.root),
            vault: location.path,
          },
        };
      },
    }),
    route({
      method: 'GET',
      path: '/api/v1/status',
      summary: 'Ages, counts and warnings',
      about: 'The result of cora status --json (docs/json.md).',
      command: 'status',
      output: z.looseObject({
        project: z.looseObject({}),
        vault: z.looseObject({}),
        warnings: z.array(z.object({ message: z.string(), next: z.string() })),
      }),
      run: async (_input, session) => ({ data: (await watch(session)).document }),
    }),
    route({
      method: 'GET',
      path: '/metrics',
      summary: 'Figures for Prometheus',
      about: 'Text format 0.0.4. What is not known is not there.',
      command: 'status',
      outputType: 'text/plain',
      run: async (_input, session) => ({
        bytes: Buffer.from(metricsText(await watch(session), session.ctx.now())),
        type: 'text/plain; version=0.0.4; charset=utf-8',
      }),
    }),
  ];
}

function promiseDocument({ name, kept, at, id, text, next }: KeptPromise, now: number): Readonly<Record<string, unknown>> {
  return {
    name,
    kept: kept ?? null,
    at: at === undefined ? null : new Date(at).toISOString(),
    age_seconds: at === undefined ? null : Math.max(0, Math.round((now - at) / 1000)),
    snapshot_id: id ?? null,
    text,
    next: next ?? null,
  };
}
