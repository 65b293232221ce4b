// The table of routes of `cora serve`: what it can do, and which file does it.

import type { Route } from './route.ts';
import { ACTION_ROUTES } from './routes-actions.ts';
import { ATOCORE_ROUTES } from './routes-atocore.ts';
import { entryRoutes } from './routes-entry.ts';
import { restoreRoutes } from './routes-restore.ts';
import { STATE_ROUTES } from './routes-state.ts';
import type { Around } from './serving.ts';

export function routesOf(around: Around): readonly Route[] {
  return [...entryRoutes(around), ...STATE_ROUTES, ...ATOCORE_ROUTES, ...ACTION_ROUTES, ...restoreRoutes()];
}
