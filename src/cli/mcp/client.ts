// What a client can do for us: tell the directories it works in, and ask the person in front of it.

import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { plain } from './answers.ts';
import type { Ask } from './tool.ts';

const ROOTS_TIMEOUT_MS = 10_000;

/** Undefined where the client does not tell. Asked each time: a person may have opened another directory since. */
export async function rootsOf({ server }: McpServer): Promise<readonly string[] | undefined> {
  if (server.getClientCapabilities()?.roots === undefined) return undefined;
  const { roots } = await server.listRoots(undefined, { timeout: ROOTS_TIMEOUT_MS });
  return roots.map(({ uri }) => uri);
}

/** Only where the client shows forms. What is not a plain yes is a no: a dismissed form, an error, a time limit. */
export function askThrough({ server }: McpServer, signal: AbortSignal): Ask | undefined {
  if (server.getClientCapabilities()?.elicitation?.form === undefined) return undefined;
  return async (message, databases, timeout) => {
    const how = {
      type: 'string',
      title: 'Databases',
      description: 'live: replaced while programs work with them; stopped: you have stopped those programs',
      enum: ['live', 'stopped'],
    } as const;
    const requestedSchema = {
      type: 'object',
      properties: {
        restore: { type: 'boolean', title: 'Restore in place', description: 'Replace the live files named above' },
        ...(databases ? { databases: how } : {}),
      },
      required: databases ? ['restore', 'databases'] : ['restore'],
    } as const;
    const given = await server
      .elicitInput(
        {
          mode: 'form',
          message: message.split('\n').map(plain).join('\n'),
          requestedSchema: { ...requestedSchema, required: [...requestedSchema.required] },
        },
        { timeout, signal },
      )
      .catch(() => undefined);
    const content = given?.action === 'accept' ? given.content : undefined;
    return { restore: content?.['restore'] === true, databases: content?.['databases'] === 'stopped' ? 'stopped' : 'live' };
  };
}
