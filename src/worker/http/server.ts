/**
 * A worker that speaks HTTP by itself (`nwsgi serve --http`): Node's own server takes connections from a socket that the
 * worker has inherited, and hands each request to the gateway in the form of NativeBridge.
 *
 * What applications do to http.Server.prototype (listening.ts, instrumentation) must not reach this server: it has the
 * methods that matter as its own.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import net from 'node:net';
import type { Socket } from 'node:net';
import { writeLog } from '../../daemon-log.js';
import { http } from '../../http-module.js';
import { Event, LogLevel, OVER } from '../../native.js';
import { Counted } from '../addon.js';
import type { RequestSource } from '../departure.js';
import { errorPage } from './error-page.js';
import { recordOf } from './record.js';
import type { Site } from './record.js';
import { HttpRequest, Reason } from './request.js';

/** Handles of this server begin here; those of the addon are smaller. */
export const FIRST_HANDLE = 2 ** 52;
/** Number of slots (see LiveExchanges): a handle is a slot and a generation, as in native/exchange/mailbox.h. */
const SLOTS = 2 ** 20;

const HEADERS_TIMEOUT = 60_000;
const KEEP_ALIVE_TIMEOUT = 5_000;
/** Milliseconds without progress while the client is waited for, where the configuration says nothing. */
const SOCKET_TIMEOUT = 60_000;
/** Idle connections are kept so long in a drain: the request that is under way on one is answered, with the last word. */
const LAME_DUCK_MILLISECONDS = 1_000;
const RETRY_SECONDS = 1;
/** Between two looks at the time that requests have taken. */
const LOOK_MILLISECONDS = 500;

// As they are before any application is loaded.
const { _listen2: listenOnHandle, close: closeListener } = net.Server.prototype as net.Server & { _listen2: unknown };
const { emit } = EventEmitter.prototype;
const { createServer } = http;

interface Turn {
  readonly records: Uint8Array;
  readonly envelopes: Float64Array;
  readonly onTurn: (count: number) => void;
}

/** Zero stands for no limit in all numbers. */
export interface HttpSettings {
  socketTimeout: number;
  /** Milliseconds until an answer begins. */
  requestTimeout: number;
  /** So many requests are begun at a time; the others wait. */
  most: number;
  /** Takes the values of {@link Counted}. */
  count(what: number): void;
}

export class HttpServer implements RequestSource {
  readonly #sites: readonly Site[];
  readonly #servers: Server[] = [];
  readonly #timeout: number;
  #turn: Turn | undefined;
  readonly #requests = new Map<number, HttpRequest>();
  readonly #bySocket = new Map<Socket, HttpRequest>();
  /** What handles of slots that were used are going to be next. */
  readonly #free: number[] = [];
  #slots = 0;
  #open = 0;
  /** Given to the gateway, and not closed. */
  #active = 0;
  readonly #most: number;
  readonly #count: HttpSettings['count'];
  readonly #waiting: HttpRequest[] = [];
  #draining = false;
  #lameUntil = 0;

  constructor(sites: readonly Site[], { socketTimeout, requestTimeout, most, count }: HttpSettings) {
    this.#sites = sites;
    this.#count = count;
    if (requestTimeout > 0) setInterval(() => this.#checkTimes(requestTimeout), LOOK_MILLISECONDS).unref();
    this.#most = most > 0 ? most : Infinity;
    this.#timeout = socketTimeout > 0 ? socketTimeout : SOCKET_TIMEOUT;
  }

  attach(records: Uint8Array, envelopes: Float64Array, onTurn: (count: number) => void): void {
    this.#turn = { records, envelopes, onTurn };
  }

  /** Accepts from an inherited socket; the worker is kept alive by others. */
  listen(fd: number): void {
    // Bodies may take as long as they make progress.
    const server = createServer({ requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT, keepAliveTimeout: KEEP_ALIVE_TIMEOUT });
    Object.assign(server, { _listen2: listenOnHandle, emit, timeout: this.#timeout });
    server.on('request', (req, res) => this.#begin(req, res, false));
    server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => this.#begin(req, res, true));
    server.on('upgrade', (req, socket, head) => this.#upgrade(req, socket as Socket, head));
    server.on('timeout', (socket) => this.#timedOut(socket));
    server.on('error', (error) => writeLog(LogLevel.critical, `NWSGI4252 the worker cannot accept HTTP connections from descriptor ${fd}: ${error.message}`));
    server.listen({ fd, exclusive: true }).unref();
    this.#servers.push(server);
  }

  find(handle: number): HttpRequest | undefined {
    return this.#requests.get(handle);
  }

  // ---- requests ----

  #begin(req: IncomingMessage, res: ServerResponse, awaitsContinue: boolean): void {
    const record = recordOf(req, this.#sites);
    if (typeof record !== 'string') {
      res.shouldKeepAlive = false;
      errorPage(record.status, 0, req.method === 'HEAD').send(res);
      return;
    }
    const request = this.#add(req, res, record, awaitsContinue);
    res.on('close', () => this.#close(request));
    this.#submit(request);
  }

  /** The client asks for another protocol; the connection has left Node's server. */
  #upgrade(req: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const record = recordOf(req, this.#sites);
    const hasBody = req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
    if (typeof record !== 'string' || hasBody) {
      const status = typeof record !== 'string' ? record.status : 501;
      socket.write(errorPage(status, 0, req.method === 'HEAD').text());
      socket.destroySoon();
      return;
    }
    if (head.length > 0) socket.unshift(head);
    socket.setTimeout(0);
    const request = this.#add(req, undefined, record, false);
    socket.on('close', () => this.#close(request));
    this.#submit(request);
  }

  #add(req: IncomingMessage, res: ServerResponse | undefined, record: string, awaitsContinue: boolean): HttpRequest {
    const handle = this.#allocate();
    const request = new HttpRequest(handle, req, res, record, awaitsContinue, (to, events) => this.#deliver(to, events, -1, 0));
    request.closes = this.#draining;
    this.#requests.set(handle, request);
    this.#bySocket.set(req.socket, request);
    this.#open += 1;
    return request;
  }

  #submit(request: HttpRequest): void {
    if (this.#active >= this.#most) {
      this.#waiting.push(request);
      return;
    }
    this.#active += 1;
    request.begun = true;
    request.begunAt = performance.now();
    this.#count(Counted.begun);
    request.onTunnel = () => {
      this.#count(Counted.upgraded);
      this.#makeRoom(request);
    };
    const { handle, record, hasBody } = request;
    const records = this.#turn?.records;
    const fits = records !== undefined && record.length <= records.length;
    if (fits) Buffer.from(records.buffer, records.byteOffset, records.byteLength).write(record, 'latin1');
    this.#deliver(handle, Event.Request | (hasBody ? Event.HasBody : 0), fits ? 0 : -1, record.length);
  }

  #deliver(handle: number, events: number, offset: number, length: number): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    const { envelopes } = turn;
    envelopes[0] = handle;
    envelopes[1] = events;
    envelopes[2] = offset;
    envelopes[3] = length;
    turn.onTurn(1);
  }

  #close(request: HttpRequest): void {
    this.#open -= 1;
    const { socket } = request.req;
    if (this.#bySocket.get(socket) === request) this.#bySocket.delete(socket);
    if (!request.begun) {
      const at = this.#waiting.indexOf(request);
      if (at >= 0) this.#waiting.splice(at, 1);
      this.release(request.handle);
      return;
    }
    this.#count(request.tunnel ? Counted.upgradeOver : Counted.finished);
    request.closed();
    this.#makeRoom(request);
  }

  /** The request is over, or a connection of its own now: another one may begin. */
  #makeRoom(request: HttpRequest): void {
    if (request.onTunnel === undefined) return;
    request.onTunnel = undefined;
    this.#active -= 1;
    if (this.#waiting.length > 0) setImmediate(() => this.#submitNext());
  }

  #submitNext(): void {
    if (this.#active >= this.#most) return;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#submit(next);
  }

  release(handle: number): void {
    const request = this.#requests.get(handle);
    if (request === undefined) return;
    this.#requests.delete(handle);
    this.#free.push(handle - FIRST_HANDLE + SLOTS);
    request.released = true;
    request.leave();
  }

  /** A handle whose slot no other request has; the same number never comes again. */
  #allocate(): number {
    return FIRST_HANDLE + (this.#free.pop() ?? this.#slots++);
  }

  // ---- errors and the end ----

  fail(handle: number, status: number, retryAfter = 0): number {
    const request = this.#requests.get(handle);
    if (request === undefined) return OVER;
    if (request.headSent) return request.destroy();
    if (request.hasBody) request.closes = true;
    const page = errorPage(status, retryAfter, request.req.method === 'HEAD');
    return request.respond(page.head, page.body);
  }

  failAll(status: number, code: string, message: string): void {
    for (const [handle, request] of this.#requests) {
      if (!request.headSent && !request.answered) writeLog(LogLevel.error, `${code} ${message} (${request.req.method ?? ''} ${request.req.url ?? ''})`);
      request.closes = true;
      this.fail(handle, status, status === 503 ? RETRY_SECONDS : 0);
      if (!request.begun) continue;
      // The process may be about to end: nothing of the application runs in here.
      setImmediate(() => request.abortBy(Reason.serverStops));
    }
  }

  /** Behind mod_nwsgi, the child that waits for the answer does this. */
  #checkTimes(most: number): void {
    const now = performance.now();
    for (const [handle, request] of this.#requests) {
      if (!request.begun || request.headSent || request.answered || now - request.begunAt < most) continue;
      writeLog(LogLevel.error, `NWSGI1209 the application did not begin its answer within ${most} ms (request-timeout); the client gets 504 (${request.req.method ?? ''} ${request.req.url ?? ''}). Look for a promise that never settles, or raise the limit`);
      this.fail(handle, 504);
      setImmediate(() => request.abortBy(Reason.timeout));
    }
  }

  stopListening(): void {
    // That of http.Server would close idle connections, too.
    for (const server of this.#servers) if (server.listening) closeListener.call(server);
  }

  drain(): void {
    this.#draining = true;
    this.#lameUntil = performance.now() + LAME_DUCK_MILLISECONDS;
    for (const request of this.#requests.values()) request.closes = true;
  }

  /** Counts those whose answer was handed over, but has not left; idle connections for a moment. */
  pending(): number {
    let tunnels = 0;
    for (const request of this.#requests.values()) if (request.tunnel) tunnels += 1;
    const requests = Math.max(this.#open - tunnels, 0);
    if (requests > 0 || !this.#draining) return requests;
    if (performance.now() < this.#lameUntil) return this.#connections() > tunnels ? 1 : 0;
    for (const server of this.#servers) server.closeIdleConnections();
    return 0;
  }

  /** What could be written was, at once. */
  flush(): boolean {
    return this.pending() === 0;
  }

  #connections(): number {
    return this.#servers.reduce((sum, server) => sum + (server as unknown as { _connections: number })._connections, 0);
  }

  /** A connection on which nothing has moved: the client's fault, unless it is the application that is waited for. */
  #timedOut(socket: Socket): void {
    const request = this.#bySocket.get(socket);
    if (request === undefined || request.waitsForClient) socket.destroy();
  }
}
