// The OpenAPI 3.1 document, made from the same schemas that requests are checked with.

import { z } from 'zod';
import { VERSION } from '../../base/version.ts';
import { OPEN } from './guard.ts';
import { PROBLEM_TYPE } from './problem.ts';
import { type Route, route } from './route.ts';

type Json = Readonly<Record<string, unknown>>;

/** Of every route: what it asked for, the token, the guard, limits, and what nobody foresaw. */
const ALWAYS = [400, 401, 403, 408, 429, 500, 503] as const;

const problem = z.object({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.number(),
  detail: z.string().describe('a sentence'),
  code: z.string().describe('a stable word (docs/http.md)'),
  next: z.string().nullable().describe('what to type or do next'),
  exit_code: z.number().nullable().describe("that of the command; null for the transport's own words"),
  details: z.record(z.string(), z.unknown()),
});

/** The description of all routes, its own included. */
export function openApiRoutes(others: readonly Route[]): readonly Route[] {
  let document: Json | undefined;
  const own = ['/openapi.json', '/api/v1/openapi.json'].map((path) =>
    route({
      method: 'GET',
      path,
      summary: 'This document',
      about: 'OpenAPI 3.1.',
      free: true,
      output: z.looseObject({ openapi: z.string() }),
      run: async () => {
        document ??= openApiOf([...others, ...own]);
        return { data: document };
      },
    }),
  );
  return own;
}

function openApiOf(routes: readonly Route[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route, OPEN.has(`${route.method} ${route.path}`)) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Cora', version: VERSION, description: 'Saves and backups of one project, on this machine alone (cora serve).' },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'the only line of <vault>/ledger/http-token' } },
      schemas: { Problem: schemaOf(problem, 'output') },
    },
  };
}

function operationOf(route: Route, isOpen: boolean): Json {
  const codes = [
    ...ALWAYS,
    ...(route.method === 'POST' ? [409, 413, 415] : []),
    // 409: a backup of another tool, of which little is told.
    ...(route.params === undefined ? [] : [404, 409]),
    // What a query names may be missing as well.
    ...(route.query?.shape['path'] !== undefined || route.query?.shape['a'] !== undefined ? [404, 409] : []),
    ...(route.failures ?? []),
  ];
  const failures = [...new Set(codes)].toSorted((a, b) => a - b);
  return {
    operationId: `${route.method.toLowerCase()}${route.path.replace(/[^A-Za-z0-9]+(.)?/g, (_all, letter: string | undefined) => letter?.toUpperCase() ?? '')}`,
    summary: route.summary,
    description: route.about,
    ...(isOpen ? { security: [] } : {}),
    ...(route.params === undefined && route.query === undefined
      ? {}
      : { parameters: [...parametersOf(route.params, 'path'), ...parametersOf(route.query, 'query')] }),
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: requiredOf(route.body), content: { 'application/json': { schema: schemaOf(route.body, 'input') } } } }),
    responses: {
      200: { description: 'done', content: contentOf(route) },
      ...Object.fromEntries(
        failures.map((status) => [
          status,
          { description: 'a problem', content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } } },
        ]),
      ),
    },
  };
}

function contentOf({ output, outputType }: Route): Json {
  if (output !== undefined) return { 'application/json': { schema: schemaOf(output, 'output') } };
  return { [outputType ?? 'application/octet-stream']: { schema: { type: 'string' } } };
}

/** False where nothing has to be said, and no body will do. */
function requiredOf(body: z.ZodObject): boolean {
  return listOf(schemaOf(body, 'input')['required']).length > 0;
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required } = schemaOf(schema, 'input') as {
    readonly properties?: Readonly<Record<string, Json>>;
    readonly required?: unknown;
  };
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    required: place === 'path' || listOf(required).includes(name),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }));
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _draft, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
  return rest;
}
