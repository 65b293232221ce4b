// Lines and JSON of `cora trust`. Pure. What a repository wants to run is shown whole, with its control
// characters visible: a person decides by these lines.

import type { TrustState } from '../actions/trust.ts';
import type { Asked } from '../base/user-command.ts';
import { visible } from './render.ts';

type Row = { readonly asked: Asked; readonly state: TrustState };

/** Each command as it would run, and everything else that is said of it. */
export function askedLines({ asked, state }: Row): string[] {
  const {
    from: _from,
    key,
    run,
    request,
    ...rest
  } = { run: undefined, request: undefined, ...asked } as Asked & {
    readonly run?: unknown;
    readonly request?: unknown;
  };
  const what = request === undefined ? run : request;
  const text = typeof what === 'string' ? what.split('\n').map(visible).join('\n    ') : visible(JSON.stringify(what));
  const more = Object.entries(rest).filter(([name]) => !['name', 'timeout', 'retries', 'wait'].includes(name));
  return [
    `${key}${state === 'trusted' ? ' (trusted)' : ''}:`,
    `    ${text}`,
    ...more.map(([name, value]) => `    ${name}: ${visible(JSON.stringify(value))}`),
  ];
}

export function askedDocument({ asked, state }: Row): Readonly<Record<string, unknown>> {
  const { from, key, ...rest } = asked as Asked & Readonly<Record<string, unknown>>;
  const { run, request } = rest as { readonly run?: unknown; readonly request?: unknown };
  return { key, source: from, state, command: run ?? null, request: request === undefined ? null : withoutSecret(key, request) };
}

/** The path of a web hook is its password; of a check it is not. */
function withoutSecret(key: string, request: unknown): unknown {
  const { url } = request as { readonly url: string };
  return key === 'health.webhook' ? { url: `${new URL(url).origin}/...` } : request;
}
