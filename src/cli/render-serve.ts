// What `cora serve` says when it listens. Pure. Invariant: never the token.

import { visible } from './render.ts';

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
