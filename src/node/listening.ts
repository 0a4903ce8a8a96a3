/**
 * Takes over the servers of applications when they listen: no port is opened. They get a handle that Node's own code
 * works with, so that argument checks, look-ups, events, address(), ref() and close() stay Node's.
 */
import { createRequire } from 'node:module';
import net from 'node:net';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { logText, Problem } from '../errors.js';
import { http } from '../http-module.js';
import { LogLevel } from '../native.js';
import type { NativeBridge } from '../native.js';
import { addConnection, destroyConnections, noConnections, removeConnection } from './connections.js';

/** A server of the application that listens, as it believes. */
export interface Listener {
  readonly server: net.Server;
  readonly protocol: 'http1' | 'http2';
  /** The port it asked for, or got for 0; 0 when it listens at a path. */
  readonly port: number;
  /** The script that was loaded last when it began to listen. */
  readonly owner: string;
}

/** What of net.Server only Node itself uses. */
interface ServerInternals {
  _handle: ListeningHandle | GivenHandle | null;
  _pipeName?: string;
  _connections: number;
  _emitCloseIfDrained(): void;
  _listen2: SetUpHandle;
}

/** A handle that the application brought along: server.listen(handle). */
interface GivenHandle {
  getsockname?(out: Partial<net.AddressInfo>): number;
  close(): void;
}

type InternalServer = net.Server & ServerInternals;
/** Address (or path), port and type (4 or 6) of where to listen; with a path, port and type are -1. */
type Where = [address: string | null, port: number | null, addressType: number | null];
type SetUpHandle = (this: InternalServer, ...args: [...Where, backlog?: number, fd?: number, flags?: number]) => void;


const FIRST_EPHEMERAL_PORT = 49152;
const UNSPECIFIED = new Set(['::', '0.0.0.0']);
const IPV6_ONLY = 1;

interface Place {
  readonly address: string;
  readonly port: number;
  /** An unspecified address of IPv6 stands for those of IPv4 too. */
  readonly dual: boolean;
}

/** In place of the handle of a server that listens; what net.Server calls of it. */
class ListeningHandle {
  readonly fd = -1;
  readonly #claim: () => number;
  readonly #leave: () => void;
  #referenced = true;

  constructor(claim: () => number, leave: () => void) {
    this.#claim = claim;
    this.#leave = leave;
  }

  /** 0, or the negative number of an error. */
  listen(): number {
    return this.#claim();
  }

  close(callback?: () => void): void {
    this.#leave();
    if (typeof callback === 'function') setImmediate(callback);
  }

  ref(): void {
    this.#referenced = true;
  }

  unref(): void {
    this.#referenced = false;
  }

  hasRef(): boolean {
    return this.#referenced;
  }

  /** Rights of a socket's path: there is none. */
  fchmod(): number {
    return 0;
  }
}

/** Of a server that listens at an address; one with a path has no getsockname(), so that address() returns the path. */
class AddressHandle extends ListeningHandle {
  readonly #place: Place;

  constructor(place: Place, claim: () => number, leave: () => void) {
    super(claim, leave);
    this.#place = place;
  }

  getsockname(out: Partial<net.AddressInfo>): number {
    const { address, port } = this.#place;
    Object.assign(out, { address, family: net.isIPv6(address) ? 'IPv6' : 'IPv4', port });
    return 0;
  }
}

interface Claim {
  readonly listener: Listener;
  readonly place: Place;
}

export class Listeners {
  /** Runs when a server began to listen, after its own 'listening' event. */
  onListen: ((listener: Listener) => void) | undefined;
  /** The script to which servers that listen from now on belong. */
  owner = '';

  readonly #bridge: NativeBridge;
  readonly #claims: Claim[] = [];
  readonly #owners = new Set<string>();

  constructor(bridge: NativeBridge) {
    this.#bridge = bridge;
  }

  /** The servers that listen, in the order in which they began to. */
  get list(): readonly Listener[] {
    return this.#claims.map(({ listener }) => listener);
  }

  /** Before any script of the environment is loaded; ES modules that import from node:http see it too. */
  install(): void {
    const prototype = net.Server.prototype as unknown as ServerInternals;
    const original = prototype._listen2;
    const giveHandle = (server: InternalServer, protocol: Listener['protocol'], where: Where, flags?: number): Where => this.#giveHandle(server, protocol, where, flags);
    const notice = (server: net.Server): void => this.#tellOfPlainServer(server);
    prototype._listen2 = function setupListenHandle(address, port, addressType, backlog, fd, flags) {
      const protocol = protocolOf(this);
      if (protocol !== undefined) {
        const where = giveHandle(this, protocol, [address, port, addressType], flags);
        original.call(this, ...where, backlog, fd, flags);
      } else {
        original.call(this, address, port, addressType, backlog, fd, flags);
        notice(this);
      }
    };
    closeSocketsWith(http.Server.prototype);
  }

  /** Whether a server of the script listens, or did so before. */
  began(owner: string): boolean {
    return this.#owners.has(owner);
  }

  /** The server for requests that arrived at a port of Apache: the one that asked for it, else the first of the script. */
  find(localPort: string, owner?: string): Listener | undefined {
    let first: Listener | undefined;
    for (const { listener } of this.#claims) {
      if (owner !== undefined && listener.owner !== owner) continue;
      if (String(listener.port) === localPort) return listener;
      first ??= listener;
    }
    return first;
  }

  /**
   * Counts `socket` as a connection of `server` until it is closed: close() waits for it, closeAllConnections() destroys
   * it. False when the server has as many as it allows; it was told ('drop') then.
   */
  connect(server: net.Server, socket: Duplex): boolean {
    const internal = server as InternalServer;
    // One that does not listen cannot be closed: it has no connections to count, and would tell of its 'close'.
    const counts = internal._handle !== null;
    if (counts && internal.maxConnections > 0 && internal._connections >= internal.maxConnections) {
      const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket as net.Socket;
      server.emit('drop', { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } as net.DropArgument);
      return false;
    }
    if (counts) internal._connections += 1;
    addConnection(socket, server);
    socket.on('close', counts ? disconnect : forget);
    return true;
  }

  /** Closes all servers that listen; resolves when no connection is left, also of those that were closed before. */
  async close(): Promise<void> {
    for (const { server, owner } of this.list) {
      try {
        server.close();
      } catch (error) {
        this.#bridge.log(0, LogLevel.error, logText(Problem.exitFailed, `close() of a server of ${owner}`, error));
      }
    }
    await noConnections();
    // The servers tell of their 'close' in between.
    await new Promise((resolve) => setImmediate(resolve));
  }

  closeConnections(): void {
    destroyConnections();
  }

  /** Returns the place to name to Node's own code, which finds the handle there and goes on from it. */
  #giveHandle(server: InternalServer, protocol: Listener['protocol'], [address, port]: Where, flags = 0): Where {
    const given = nameOf(server);
    const path = given === undefined && port === -1 ? (address ?? server._pipeName) : undefined;
    const place = path === undefined ? this.#placeFor(given ?? { address: address ?? '::', port: port ?? 0 }, flags) : { address: path, port: 0, dual: false };
    const claim: Claim = { listener: { server, protocol, port: place.port, owner: this.owner }, place };
    const hold = (): number => this.#hold(claim);
    const leave = (): void => this.#leave(claim);
    if (path !== undefined) {
      server._handle = new ListeningHandle(hold, leave);
      return [path, -1, -1];
    }
    server._handle = new AddressHandle(place, hold, leave);
    return [place.address, port ?? 0, net.isIPv6(place.address) ? 6 : 4];
  }

  #placeFor({ address, port }: { address: string; port: number }, flags: number): Place {
    return { address, port: port > 0 ? port : this.#unusedPort(), dual: address === '::' && (flags & IPV6_ONLY) === 0 };
  }

  #unusedPort(): number {
    for (let port = FIRST_EPHEMERAL_PORT; ; port++) {
      if (!this.#claims.some(({ place }) => place.port === port)) return port;
    }
  }

  #hold(claim: Claim): number {
    if (this.#claims.some((other) => other.listener.owner === claim.listener.owner && collide(other.place, claim.place))) return -constants.errno.EADDRINUSE;
    this.#claims.push(claim);
    if (!(claim.listener.server instanceof http.Server)) closeSocketsWith(Object.getPrototypeOf(claim.listener.server) as object);
    // A turn after the one that Node queues with this call's return: its 'listening' comes first.
    process.nextTick(() => process.nextTick(() => {
      if (!this.#claims.includes(claim)) return;
      this.#owners.add(claim.listener.owner);
      this.onListen?.(claim.listener);
    }));
    return 0;
  }

  #leave(claim: Claim): void {
    const at = this.#claims.indexOf(claim);
    if (at >= 0) this.#claims.splice(at, 1);
  }

  #tellOfPlainServer(server: net.Server): void {
    const address = server.listening ? server.address() : null;
    if (address === null) return;
    const text = typeof address === 'string' ? address : `${address.address} port ${address.port}`;
    this.#bridge.log(0, LogLevel.notice, logText(Problem.plainServer, `script ${this.owner}, ${text}`));
  }
}

function forget(this: Duplex): void {
  removeConnection(this);
}

function disconnect(this: Duplex): void {
  const server = removeConnection(this) as InternalServer;
  server._connections -= 1;
  server._emitCloseIfDrained();
}

type CloseAll = ((this: InternalServer) => void) & { nwsgi?: true };

/** Makes closeAllConnections() of the servers with this prototype include the connections that Apache gave them. */
function closeSocketsWith(prototype: object): void {
  const owner = ownerOf(prototype, 'closeAllConnections') as { closeAllConnections: CloseAll } | undefined;
  if (owner === undefined || owner.closeAllConnections.nwsgi === true) return;
  const original = owner.closeAllConnections;
  owner.closeAllConnections = Object.assign(
    function closeAllConnections(this: InternalServer) {
      original.call(this);
      destroyConnections(this);
    },
    { nwsgi: true as const },
  );
}

const load = createRequire(import.meta.url);

/** What the server speaks; undefined when it is not HTTP. Modules for servers that are none of node:http are loaded when one turns up. */
export function protocolOf(server: net.Server): Listener['protocol'] | undefined {
  if (server instanceof http.Server) return 'http1';
  try {
    if (server instanceof (load('node:https') as typeof import('node:https')).Server) return 'http1';
    return http2Servers().some((base) => Object.prototype.isPrototypeOf.call(base, server)) ? 'http2' : undefined;
  } catch {
    // This Node was built without TLS, so that it is neither of them.
    return undefined;
  }
}

let http2Bases: object[] | undefined;

/** The prototypes of http2's two kinds of servers, which it does not export. */
function http2Servers(): object[] {
  const http2 = load('node:http2') as typeof import('node:http2');
  return (http2Bases ??= [http2.createServer(), http2.createSecureServer()].map((server) => Object.getPrototypeOf(server) as object));
}

/** Where the handle that the application brought along is bound to. It is closed: the port is Apache's affair. */
function nameOf(server: InternalServer): { address: string; port: number } | undefined {
  const handle = server._handle;
  if (handle === null || handle instanceof ListeningHandle) return undefined;
  const name: Partial<net.AddressInfo> = {};
  handle.getsockname?.(name);
  handle.close();
  return name.address === undefined ? undefined : { address: name.address, port: name.port ?? 0 };
}

function collide(a: Place, b: Place): boolean {
  if (a.port !== b.port) return false;
  if (a.address === b.address) return true;
  if (a.port === 0) return false;
  if (a.dual || b.dual) return true;
  const sameFamily = net.isIPv6(a.address) === net.isIPv6(b.address);
  return sameFamily && (UNSPECIFIED.has(a.address) || UNSPECIFIED.has(b.address));
}

function ownerOf(start: object, name: string): object | undefined {
  for (let object: object | null = start; object !== null; object = Object.getPrototypeOf(object) as object | null) {
    if (Object.hasOwn(object, name)) return object;
  }
  return undefined;
}
