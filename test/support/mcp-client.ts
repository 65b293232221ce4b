// The official client on `cora mcp` of a sandbox, as an assistant's program starts it.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  type CallToolResult,
  ElicitRequestSchema,
  type ElicitResult,
  ListRootsRequestSchema,
  type Progress,
} from '@modelcontextprotocol/sdk/types.js';
import { PATH, type Sandbox } from './sandbox.ts';

const CORA = join(import.meta.dirname, '..', '..', 'bin', 'cora');

export type Called = { readonly text: string; readonly isError: boolean; readonly data: Record<string, unknown>; readonly raw: CallToolResult };

export type Assistant = {
  readonly client: Client;
  readonly pid: number;
  /** What the server wrote on stderr. */
  readonly stderr: () => string;
  /** Messages of the questions that were asked. */
  readonly asked: string[];
  call(
    name: string,
    args?: Record<string, unknown>,
    options?: { readonly signal?: AbortSignal; readonly progress?: (progress: Progress) => void; readonly timeout?: number },
  ): Promise<Called>;
  close(): Promise<void>;
};

export type Settings = {
  /** The person at the client; without one the client cannot ask. */
  readonly person?: (message: string) => ElicitResult | Promise<ElicitResult>;
  readonly roots?: readonly string[];
  readonly cwd?: string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
};

export async function assistant(sandbox: Sandbox, { person, roots, cwd, args = [], env = {} }: Settings = {}): Promise<Assistant> {
  const transport = new StdioClientTransport({
    command: CORA,
    args: ['mcp', ...args],
    cwd: cwd ?? sandbox.project,
    env: { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log'), ...env },
    stderr: 'pipe',
  });
  let stderr = '';
  transport.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const capabilities = { ...(person === undefined ? {} : { elicitation: { form: {} } }), ...(roots === undefined ? {} : { roots: {} }) };
  const client = new Client({ name: 'test', version: '1' }, { capabilities });
  const asked: string[] = [];
  if (person !== undefined) {
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      asked.push(params.message);
      return person(params.message);
    });
  }
  if (roots !== undefined)
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: roots.map((root) => ({ uri: pathToFileURL(root).href })) }));
  await client.connect(transport);
  // The client checks structured content by the schemas that it has listed.
  await client.listTools();
  const pid = transport.pid;
  if (pid === null) throw new Error('no server runs');
  return {
    client,
    pid,
    stderr: () => stderr,
    asked,
    async call(name, toolArgs = {}, options = {}) {
      const how = {
        timeout: options.timeout ?? 60_000,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
        ...(options.progress === undefined ? {} : { onprogress: options.progress }),
      };
      const raw = (await client.callTool({ name, arguments: toolArgs }, undefined, how)) as CallToolResult;
      const text = raw.content.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
      return { text, isError: raw.isError === true, data: (raw.structuredContent ?? {}) as Record<string, unknown>, raw };
    },
    close: () => client.close(),
  };
}
