// The table of routes of `cora serve`: what it can do, and which file does it.

import { openApiRoutes } from './openapi.ts';
import type { Route } from './route.ts';
import { ACTION_ROUTES } from './routes-actions.ts';
import { ATOCORE_ROUTES } from './routes-atocore.ts';
import { entryRoutes } from './routes-entry.ts';
import { EVENT_ROUTES } from './routes-events.ts';
import { FILES_ROUTES } from './routes-files.ts';
import { HISTORY_ROUTES } from './routes-history.ts';
import { LEDGER_ROUTES } from './routes-ledger.ts';
import { restoreRoutes } from './routes-restore.ts';
import { stateRoutes } from './routes-state.ts';
import { STORAGE_ROUTES } from './routes-storage.ts';
import { VERSION_ROUTES } from './routes-versions.ts';
import type { Around } from './serving.ts';

export function routesOf(around: Around): readonly Route[] {
  const routes: readonly Route[] = [
    ...[...entryRoutes(around), ...stateRoutes(around), ...EVENT_ROUTES],
    ...[...HISTORY_ROUTES, ...FILES_ROUTES, ...VERSION_ROUTES, ...STORAGE_ROUTES, ...LEDGER_ROUTES],
    ...[...ACTION_ROUTES, ...restoreRoutes(), ...ATOCORE_ROUTES],
  ];
  return [...routes, ...openApiRoutes(routes)];
}
