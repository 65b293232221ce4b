// A `cora serve` of a sandbox, and requests to it as a program makes them.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PATH, type Sandbox } from './sandbox.ts';

const CORA = join(import.meta.dirname, '..', '..', 'bin', 'cora');

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The document; fails where it is none. */
  json<T = Record<string, unknown>>(): T;
};

export type Asked = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is; an object as JSON. */
  readonly body?: string | Buffer | object;
  /** False: without the token. */
  readonly token?: boolean;
};

export type Server = {
  readonly url: string;
  readonly socket: string | null;
  readonly token: string;
  readonly tokenFile: string;
  readonly process: ChildProcess;
  ask(path: string, asked?: Asked): Promise<Answer>;
  /** The document of a GET that must succeed. */
  get<T = Record<string, unknown>>(path: string): Promise<T>;
  post(path: string, body?: object): Promise<Answer>;
  /** Ends it; what it ended with, and what it said. */
  stop(signal?: NodeJS.Signals): Promise<{ readonly code: number | null; readonly seconds: number; readonly stderr: string }>;
};

/** @param args after `cora serve`; without a place it takes a free port */
export async function startServer(sandbox: Sandbox, args: readonly string[] = ['--port', '0'], env: NodeJS.ProcessEnv = {}): Promise<Server> {
  const child = spawn(CORA, ['serve', ...args, '--json'], {
    cwd: sandbox.project,
    env: { PATH, HOME: sandbox.home, CORA_VAULT: sandbox.vault, CORA_LOG: join(sandbox.root, 'cora.log'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text)),
    once(child, 'exit').then(() => ''),
  ]);
  const document = JSON.parse(line === '' ? '{}' : line) as { result?: { url: string | null; socket: string | null; token_file: string } };
  if (document.result === undefined) throw new Error(`cora serve did not start: ${line}${said.join('')}`);
  const { url, socket, token_file: tokenFile } = document.result;
  const token = readFileSync(tokenFile, 'utf8').trim();
  const ask = (path: string, asked: Asked = {}) => send(url, socket, path, asked.token === false ? asked : withToken(asked, token));
  return {
    ...{ url: url ?? '', socket, token, tokenFile, process: child, ask },
    async get<T>(path: string) {
      const answer = await ask(path);
      if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
      return answer.json<T>();
    },
    post: (path, body = {}) => ask(path, { method: 'POST', body }),
    async stop(signal = 'SIGTERM') {
      const begun = performance.now();
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit');
        child.kill(signal);
        await gone;
      }
      return { code: child.exitCode, seconds: (performance.now() - begun) / 1000, stderr: said.join('') };
    },
  };
}

function withToken(asked: Asked, token: string): Asked {
  return { ...asked, headers: { Authorization: `Bearer ${token}`, ...asked.headers } };
}

function send(url: string | null, socket: string | null, path: string, { method = 'GET', headers = {}, body }: Asked): Promise<Answer> {
  const content = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const type = content === body ? {} : { 'Content-Type': 'application/json' };
  const place = url === null ? { socketPath: socket ?? '', headers: { Host: 'localhost' } } : { host: '127.0.0.1', port: Number(new URL(url).port) };
  return new Promise((resolve, reject) => {
    const asked = request(
      { ...place, path, method, agent: false, headers: { ...('headers' in place ? place.headers : {}), ...type, ...headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: <T>() => JSON.parse(text) as T });
        });
      },
    );
    asked.on('error', reject);
    asked.end(content);
  });
}
