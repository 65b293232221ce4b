// The network between Cora and a server, in the test's hands: cut, slow, or a server that takes a connection and says nothing.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export class TcpProxy {
  /** Bytes that went up to the server so far. */
  sent = 0;
  /** Cuts every connection, and refuses new ones, once so many bytes went up. */
  cutAfter = Number.POSITIVE_INFINITY;
  /** Bytes a second, up; undefined is unlimited. */
  rate: number | undefined;
  /** Takes connections and what is sent, and never answers. */
  hanging = false;
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut = false;

  constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  /** Passes on to `target` on loopback; with port 0 it is a server that hangs. */
  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.hanging = target === 0;
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get isCut(): boolean {
    return this.#cut;
  }

  /** The cable is pulled: connections end at once, new ones too, until `mend`. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#cut = false;
    this.cutAfter = Number.POSITIVE_INFINITY;
    this.rate = undefined;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket): void {
    this.#keep(client);
    if (this.#cut) {
      client.resetAndDestroy();
      return;
    }
    if (this.hanging) {
      client.resume();
      return;
    }
    const server = connect(this.#target, '127.0.0.1');
    this.#keep(server);
    client.on('data', (chunk) => void this.#pass(chunk, client, server));
    server.on('data', (chunk) => client.write(chunk));
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
  }

  async #pass(chunk: Buffer, client: Socket, server: Socket): Promise<void> {
    client.pause();
    if (this.rate !== undefined) await sleep((chunk.length / this.rate) * 1000);
    this.sent += chunk.length;
    if (this.sent > this.cutAfter) {
      this.cut();
      return;
    }
    if (server.destroyed) return;
    if (!server.write(chunk)) {
      await new Promise<void>((resolve) => {
        server.once('drain', resolve);
        server.once('close', resolve);
      });
    }
    client.resume();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
