// How many connections are open at once. Invariant: who has shown the token, or is being answered, is never sent away for
// somebody who has not: connections that say nothing, or half of something, cannot lock the page out.

import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** What a new connection has to show whose it is, however many come with it. */
const GRACE_MS = 200;
/** Of `most`: so many are never open, not for a moment. */
const FACTOR = 16;

/**
 * Closes the oldest that may be closed where more than `most` are open, each after a moment of grace; where none may be closed
 * and far too many are open, the newest.
 * @param mayStay whether a connection has shown the token or waits for an answer
 */
export function boundConnections(server: Server, most: number, mayStay: (socket: Socket) => boolean): void {
  /** By connection, when it came; in that order. */
  const open = new Map<Socket, number>();
  let trimming: NodeJS.Timeout | undefined;
  const close = (socket: Socket): void => {
    open.delete(socket);
    socket.destroy();
  };
  const trim = (): void => {
    trimming = undefined;
    const ripe = performance.now() - GRACE_MS;
    for (const [socket, since] of open) {
      if (open.size <= most || since > ripe) break;
      if (!mayStay(socket)) close(socket);
    }
    if (open.size > most) schedule();
  };
  const schedule = (): void => {
    if (trimming === undefined) trimming = setTimeout(trim, GRACE_MS / 2).unref();
  };
  server.on('connection', (socket: Socket) => {
    open.set(socket, performance.now());
    socket.once('close', () => open.delete(socket));
    if (open.size > most * FACTOR) close([...open.keys()].find((one) => !mayStay(one)) ?? socket);
    else if (open.size > most) schedule();
  });
}
