// How the project's protection is now: health with the five promises, and the status.

import { z } from 'zod';
import { health } from '../../actions/health.ts';
import { toText } from '../../base/bytes.ts';
import { VERSION } from '../../base/version.ts';
import { run as runStatus } from '../commands/status.ts';
import { timersOptions } from '../timers-session.ts';
import { type Route, route } from './route.ts';

const level = z.enum(['ok', 'note', 'warning', 'critical']);

export const STATE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/health',
    summary: 'Does the protection work?',
    about: 'What cora health checks, each with the command to type.',
    command: 'status',
    output: z.object({
      level: z.enum(['ok', 'warning', 'critical']),
      checks: z.array(z.object({ name: z.string(), level, message: z.string(), next: z.string().nullable() })),
      version: z.string(),
      project: z.string(),
      root: z.string(),
      vault: z.string(),
    }),
    run: async (_input, session) => {
      const { project, location } = await session.open();
      const { machine, ctx } = session;
      const result = await health({ project, location, machine, timers: timersOptions({}, session), maxAge: undefined, deep: false }, ctx);
      return {
        data: {
          level: result.state,
          checks: result.checks.map(({ name, level, message, next }) => ({ name, level, message, next: next ?? null })),
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
    output: z.looseObject({}),
    run: async (_input, session) => ({
      data: (await runStatus({ options: {}, args: [], paths: [] }, session)).result as Readonly<Record<string, unknown>>,
    }),
  }),
];
