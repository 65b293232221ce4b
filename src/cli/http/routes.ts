// The table of routes of `cora serve`: what it can do, and which file does it.

import { openApiRoutes } from './openapi.ts';
import type { Route } from './route.ts';
import { ACTION_ROUTES } from './routes-actions.ts';
import { ATOCORE_ROUTES } from './routes-atocore.ts';
import { entryRoutes } from './routes-entry.ts';
import { EVENT_ROUTES } from './routes-events.ts';
import { restoreRoutes } from './routes-restore.ts';
import { stateRoutes } from './routes-state.ts';
import type { Around } from './serving.ts';

export function routesOf(around: Around): readonly Route[] {
  const routes: readonly Route[] = [
    ...[...entryRoutes(around), ...stateRoutes(around), ...EVENT_ROUTES],
    ...[...ACTION_ROUTES, ...restoreRoutes(), ...ATOCORE_ROUTES],
  ];
  return [...routes, ...openApiRoutes(routes)];
}
