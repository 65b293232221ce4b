// Tells somebody that health changed: a command of the user's, a web hook. Only a change is told, and each channel is remembered for
// itself, so that what could not be delivered is tried again. Invariant: of a hook's address nothing but its host is ever said.

import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { fromText, toText } from '../base/bytes.ts';
import type { Context } from '../base/context.ts';
import { CoraError, messageOf } from '../base/errors.ts';
import { exists, makePath, readTextIfThere, replaceFile } from '../os/files.ts';
import { probe } from '../os/http-probe.ts';
import { NAMES } from '../vault/layout.ts';
import type { HealthResult } from './health.ts';
import { type CommandHost, type TrustFacts, trusted } from './trust.ts';
import { runUserCommand } from './user-commands.ts';

export type Channel = 'command' | 'webhook';

/** One message that was sent, or should have been. */
export type Told = {
  readonly channel: Channel;
  readonly ok: boolean;
  /** What became of it, as the end of a sentence. */
  readonly message: string;
};

export type Notified = {
  /** False where nothing changed since each channel was told last. */
  readonly changed: boolean;
  readonly told: readonly Told[];
};

export type NotifyRequest = {
  readonly project: TrustFacts & { readonly name: string };
  readonly host: CommandHost;
  /** A message that says it is a test, whatever the state; nothing is remembered. */
  readonly test: boolean;
};

type Memory = Partial<Record<Channel, string>>;

const COMMAND_TIMEOUT = 60_000;
const HOOK_TIMEOUT = 15_000;

/** @throws CoraError config_invalid where a test has nobody to be sent to; interrupted */
export async function notifyHealth(result: HealthResult, { project, host, test }: NotifyRequest, ctx: Context): Promise<Notified> {
  const { notify, webhook } = project.config.health;
  const channels: Channel[] = [...(notify === undefined ? [] : ['command' as const]), ...(webhook === undefined ? [] : ['webhook' as const])];
  if (test && channels.length === 0) {
    throw new CoraError('config_invalid', 'Nobody is to be told: neither health.notify nor health.webhook is set', {
      hint: 'docs/health.md has an example',
    });
  }
  const place = placeOf(project, host, result.vault);
  const known = place === undefined ? {} : recall(place);
  const now = signatureOf(result);
  // Nobody needs to hear that a new project is well.
  const due = test ? channels : channels.filter((channel) => (known[channel] ?? 'ok:') !== now);
  const told: Told[] = [];
  for (const channel of due) told.push(await tell(channel, result, { project, host, test }, ctx));
  if (!test && place !== undefined) {
    const reached = told.filter(({ ok }) => ok).map(({ channel }) => channel);
    if (reached.length > 0) remember(place, { ...known, ...Object.fromEntries(reached.map((channel) => [channel, now])) });
  }
  return { changed: due.length > 0, told };
}

/** What counts as the same state: the level and which checks are not well, but not their ages and numbers. */
function signatureOf({ state, checks }: HealthResult): string {
  const names = checks.filter(({ level }) => level === 'warning' || level === 'critical').map(({ name, level }) => `${level} ${name}`);
  return `${state}:${names.toSorted().join(',')}`;
}

async function tell(channel: Channel, result: HealthResult, request: NotifyRequest, ctx: Context): Promise<Told> {
  try {
    return channel === 'command' ? await runCommand(result, request, ctx) : await callHook(result, request, ctx);
  } catch (error) {
    if (ctx.signal.aborted) throw error;
    const hint = error instanceof CoraError && error.hint !== undefined ? `; ${error.hint}` : '';
    return { channel, ok: false, message: `${messageOf(error)}${hint}` };
  }
}

/** The message as text: one line that says it, then one for each check that is not well. */
export function messageText(result: HealthResult, { project, test }: Pick<NotifyRequest, 'project' | 'test'>): string {
  const heading = { ok: 'is well', warning: 'needs attention', critical: 'is NOT protected' }[result.state];
  const bad = result.checks.filter(({ level }) => level === 'critical' || level === 'warning');
  const lines = bad.map(({ level, message, next }) => `- ${level}: ${message}${next === undefined ? '' : `. Next: ${next}`}`);
  return [`${test ? 'A test. ' : ''}Cora: ${project.name} on ${hostname()} ${heading}`, ...lines].map(oneLine).join('\n');
}

/** A name of a file cannot forge a line or steer a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, ' ');
}

async function runCommand(result: HealthResult, request: NotifyRequest, ctx: Context): Promise<Told> {
  const { project, host } = request;
  const { notify } = project.config.health;
  if (notify === undefined) throw new TypeError('there is no command');
  const command = trusted(project, notify, host);
  const input = openText(`${messageText(result, request)}\n`);
  try {
    const facts = { CORA_HEALTH: result.state, CORA_PROJECT: toText(project.root), ...(request.test ? { CORA_HEALTH_TEST: '1' } : {}) };
    const ended = await runUserCommand(command, { cwd: project.root, host, facts, stdin: input, timeout: COMMAND_TIMEOUT, signal: ctx.signal });
    const last = ended.output.trim().split('\n').at(-1) ?? '';
    return {
      channel: 'command',
      ok: ended.ok,
      message: ended.ok ? 'the command ended with 0' : `the command ${ended.message}${last === '' ? '' : `: ${last}`}`,
    };
  } finally {
    closeSync(input);
  }
}

/** A descriptor that gives this text, in a file that no longer has a name. */
function openText(text: string): number {
  const directory = mkdtempSync(`${tmpdir()}/cora-health-`);
  try {
    const fd = openSync(`${directory}/message`, 'wx+', 0o600);
    // At a position of its own, so that reading begins at the start.
    writeSync(fd, Buffer.from(text), 0, undefined, 0);
    return fd;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function callHook(result: HealthResult, request: NotifyRequest, ctx: Context): Promise<Told> {
  const { project, host } = request;
  const { webhook } = project.config.health;
  if (webhook === undefined) throw new TypeError('there is no web hook');
  const { url } = trusted(project, webhook, host).request;
  const where = new URL(url).host;
  const text = messageText(result, request);
  const checks = result.checks.map(({ name, level, message, next }) => ({ name, level, message, next: next ?? null }));
  const time = new Date(ctx.now()).toISOString();
  const body = {
    schema: 1,
    test: request.test,
    project: project.name,
    root: toText(project.root),
    host: hostname(),
    health: result.state,
    time,
    text,
    content: text,
    checks,
  };
  try {
    const { status } = await probe({
      url,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': `cora/${ctx.version}` },
      body: JSON.stringify(body),
      timeout: HOOK_TIMEOUT,
      signal: ctx.signal,
    });
    return { channel: 'webhook', ok: status >= 200 && status < 300, message: `${where} answered ${status}` };
  } catch (error) {
    if (ctx.signal.aborted) throw error;
    return { channel: 'webhook', ok: false, message: `${where}: ${withoutSecret(messageOf(error), url)}` };
  }
}

/** Node's own sentences have no address in them so far; this holds if one ever does. */
function withoutSecret(message: string, url: string): string {
  const { pathname, search, username, password } = new URL(url);
  return [url, pathname + search, pathname, search, username, password].reduce(
    (text, part) => (part.length < 3 ? text : text.replaceAll(part, '...')),
    message,
  );
}

/** Outside the vault, whose disk may be what is missing; in the ledger where there is no other place. */
function placeOf(project: TrustFacts, host: CommandHost, vault: string): string | undefined {
  const name = `${createHash('sha256').update(`${project.root}\0${vault}`, 'latin1').digest('hex').slice(0, 32)}.json`;
  if (host.state !== undefined) return `${host.state}/health/${name}`;
  return exists(`${vault}/${NAMES.ledger}`) ? `${vault}/${NAMES.ledger}/health.json` : undefined;
}

function recall(place: string): Memory {
  try {
    const value: unknown = JSON.parse(readTextIfThere(place) ?? '{}');
    const told: unknown = typeof value === 'object' && value !== null && 'told' in value ? value.told : {};
    if (typeof told !== 'object' || told === null) return {};
    return Object.fromEntries(Object.entries(told).filter(([, text]) => typeof text === 'string')) as Memory;
  } catch {
    // A torn memory is none: somebody is told once more.
    return {};
  }
}

function remember(place: string, told: Memory): void {
  try {
    makePath(fromText(dirname(place)));
    replaceFile(place, `${JSON.stringify({ schema: 1, told })}\n`, true);
  } catch {
    // Told twice is better than not told.
  }
}
