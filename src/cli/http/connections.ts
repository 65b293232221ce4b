// How many connections are open at once. Invariant: who has shown the token, or is being answered, is never sent away for
// somebody who has not: connections that say nothing, or half of something, cannot lock the page out.

import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Closes the oldest that may be closed where one too many comes; where none may, the new one.
 * @param mayStay whether a connection has shown the token or waits for an answer
 */
export function boundConnections(server: Server, most: number, mayStay: (socket: Socket) => boolean): void {
  // Sets are in the order of coming.
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size <= most) return;
    for (const one of open) {
      if (one !== socket && mayStay(one)) continue;
      open.delete(one);
      one.destroy();
      return;
    }
  });
}
