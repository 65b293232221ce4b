// What `cora serve` says when it listens. Pure. Invariant: never the token.

import type { InstalledTimers } from '../actions/timers.ts';
import { counted, visible } from './render.ts';
import { installedLines as unitLines } from './render-timers.ts';

export type ServingFacts = { readonly url: string | null; readonly socket: string | null; readonly token_file: string };

/** @param link the address with a one-time code, where a person sits at the terminal */
export function servingLines({ url, socket, token_file: tokenFile }: ServingFacts, link: string | undefined): string[] {
  return [
    ...(url === null ? [] : [`Listening at ${url}`]),
    ...(socket === null ? [] : [`Listening at the socket ${visible(socket)}`]),
    `Token in ${visible(tokenFile)}`,
    ...(link === undefined ? [] : [`Open ${link} (good once, for ten minutes)`]),
    'Ctrl-C ends it',
  ];
}

/** @param tokenFile undefined where nothing was written */
export function installedLines(result: InstalledTimers, print: boolean, listen: string, tokenFile: string | undefined): string[] {
  if (print) return unitLines(result, print);
  const changed = result.files.filter(({ change }) => change !== 'same').length;
  const wrote = changed === 0 ? 'Everything is as it should be' : `Wrote ${counted(changed, 'file')}`;
  return [
    `${wrote}; ${result.timers.join(', ')} ${result.started ? `listens at ${visible(listen)}` : 'is not started'}`,
    ...(tokenFile === undefined ? [] : [`Token in ${visible(tokenFile)}`]),
  ];
}
