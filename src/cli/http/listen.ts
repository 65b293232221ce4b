// Where `cora serve` listens: loopback, a unix socket of mode 0600, or a socket that systemd opened for it.
// Invariant: nothing but this machine can reach any of them.

import { chmodSync, lstatSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { CoraError, errnoOf, messageOf } from '../../base/errors.ts';

/** `fd`: given by systemd. */
export type Place = { readonly port: number } | { readonly socket: string } | { readonly fd: number };

export type Listening = { readonly url: string | undefined; readonly socket: string | undefined };

/** Of a path in a socket address, without the NUL that ends it (unix(7)). */
const PATH_BYTES = 107;
/** systemd's first descriptor (sd_listen_fds(3)). */
const FIRST_FD = 3;
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1']);

/**
 * The socket that systemd hands over; undefined where it did not start this process so.
 * @throws CoraError usage for more than one
 */
export function inheritedPlace(env: (name: string) => string | undefined, pid: number): Place | undefined {
  if (env('LISTEN_PID') !== String(pid)) return undefined;
  const count = env('LISTEN_FDS') ?? '';
  if (count !== '1')
    throw new CoraError('usage', `systemd handed over ${count || 'no'} sockets, and one is served`, { hint: 'one ListenStream= in the socket unit' });
  return { fd: FIRST_FD };
}

/** @throws CoraError refused where somebody else listens there, or a given socket is no loopback; io */
export async function listenAt(server: Server, place: Place): Promise<Listening> {
  if ('socket' in place) {
    requireShort(place.socket);
    await removeStale(place.socket);
  }
  const where = 'port' in place ? { host: '127.0.0.1', port: place.port } : 'fd' in place ? { fd: place.fd } : { path: place.socket };
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(notListening(error, place)));
    // A socket is bound within this call: nobody else may open it in the moment before its mode is set.
    const mask = 'socket' in place ? process.umask(0o177) : undefined;
    server.listen({ ...where, exclusive: true }, resolve);
    if (mask !== undefined) process.umask(mask);
  });
  // Node does not say where a unix socket is that it was given.
  const address = server.address() ?? ('fd' in place ? unixPath(place.fd) : undefined);
  if (address === undefined)
    throw new CoraError('refused', 'The socket that systemd opened is neither TCP nor unix', { hint: 'ListenStream=127.0.0.1:PORT, or a path' });
  if (typeof address === 'string') {
    if ('socket' in place) chmodSync(place.socket, 0o600);
    return { url: undefined, socket: address };
  }
  if (!LOOPBACK.has(address.address))
    throw new CoraError('refused', `The socket that systemd opened is at ${address.address}, which others can reach`, {
      hint: 'ListenStream=127.0.0.1:PORT, or a path',
    });
  const host = address.address.includes(':') ? `[${address.address}]` : address.address;
  return { url: `http://${host}:${address.port}/`, socket: undefined };
}

/** @throws CoraError usage */
function requireShort(path: string): void {
  const length = Buffer.byteLength(path);
  if (length <= PATH_BYTES) return;
  throw new CoraError('usage', `The path of the socket has ${length} bytes, and the system takes ${PATH_BYTES}`, {
    hint: 'name a shorter path with --socket, such as one below /run/user',
  });
}

function notListening(error: Error, place: Place): CoraError {
  const where = 'port' in place ? `port ${place.port}` : 'socket' in place ? place.socket : 'the socket that systemd gave';
  if (errnoOf(error) === 'EADDRINUSE')
    return new CoraError('refused', `Somebody else listens at ${where}`, {
      hint: 'end that one, or take any free port: cora serve --port 0',
      cause: error,
    });
  return new CoraError('io', `Listening at ${where} failed: ${messageOf(error)}`, { hint: 'try another place: cora serve --port 0', cause: error });
}

/** The path of a unix socket; undefined for any other one, and where there is no /proc. */
function unixPath(fd: number): string | undefined {
  const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  // Num RefCount Protocol Flags Type St Inode Path
  const fields = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => /^(?:\S+ +){6}(\d+)(?: (.*))?$/.exec(line))
    .find((match) => inode !== undefined && match?.[1] === inode);
  return fields === undefined || fields === null ? undefined : (fields[2] ?? '');
}

/** A socket of a server that was killed; anything else stays. */
async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new CoraError('refused', `${path} is there and is no socket`, { hint: 'name another path with --socket' });
  const answers = await new Promise<boolean>((resolve) => {
    const client = connect({ path });
    client.once('connect', () => {
      client.destroy();
      resolve(true);
    });
    client.once('error', () => resolve(false));
  });
  if (answers) throw new CoraError('refused', `Somebody else listens at ${path}`, { hint: 'end that one, or name another path with --socket' });
  rmSync(path, { force: true });
}
