// The way in: the page, which is for everybody on this machine and holds no data, and the one-time code for the token.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CoraError } from '../../base/errors.ts';
import { type Route, route } from './route.ts';
import type { Around } from './serving.ts';

/** Beside the bundle (scripts/build.mjs). */
const PAGE = join(import.meta.dirname, 'page.html');
const POLICY = join(import.meta.dirname, 'page.csp');

export function entryRoutes({ token, codes, guard }: Around): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/',
      summary: 'The page',
      about: 'One document that needs nothing besides. It holds no data: what it shows, it asks for with the token.',
      free: true,
      outputType: 'text/html',
      run: async () => {
        if (!existsSync(PAGE)) throw new CoraError('not_found', 'The page is not built', { hint: 'npm run build' });
        const policy = readFileSync(POLICY, 'utf8').trim();
        return { bytes: readFileSync(PAGE), type: 'text/html; charset=utf-8', headers: { 'Content-Security-Policy': policy } };
      },
    }),
    route({
      method: 'GET',
      path: '/favicon.ico',
      summary: 'No picture',
      about: 'Browsers ask for it.',
      free: true,
      outputType: 'image/x-icon',
      run: async () => ({ bytes: new Uint8Array(), type: 'image/x-icon', status: 204 }),
    }),
    route({
      method: 'POST',
      path: '/api/v1/login',
      summary: 'The token for a one-time code',
      about: 'The code is in the fragment of the link that cora serve prints on a terminal. It is good once, and for ten minutes.',
      free: true,
      body: z.strictObject({ code: z.string().max(200) }),
      output: z.object({ token: z.string() }),
      failures: [401],
      run: async ({ body }, _session, call) => {
        if (codes.take(body.code)) return { data: { token } };
        return guard.wrongCode(call.address);
      },
    }),
  ];
}
