/** A session of node:http2 between a client in this process and a server of the application. */
import type { ClientHttp2Session, ClientHttp2Stream, ClientSessionOptions, Http2Server, OutgoingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { ListenerTable } from './application.js';
import type { NodeExchange } from './exchange.js';
import { ClientSocket } from './socket.js';

/** What a stream may send before the client's connection has taken it. */
const STREAM_WINDOW = 256 * 1024;
/** Of all streams of a session together, so that one whose client is slow does not hold up the others. */
const SESSION_WINDOW = 64 * 1024 * 1024;
const MOST_HEADERS = 2000;

/** Loaded only for applications that use it: that takes its time. */
const load = createRequire(import.meta.url);
const connect = (options: ClientSessionOptions): ClientHttp2Session => (load('node:http2') as typeof import('node:http2')).connect('http://localhost', options);

/**
 * One end of a connection inside the process. What is written arrives at the other end, however much is waiting there: a
 * session stops reading while a write of its own is not done, so that two of them could wait for each other for ever. The
 * windows of HTTP/2 limit what is on its way.
 */
class LocalEnd extends Duplex {
  other!: LocalEnd;

  override _read(): void {}

  /** Later, as from a socket: a session must not receive while it is sending, and a write at one end can cause one at the other. */
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    process.nextTick(pass, this.other, chunk, done);
  }

  override _final(done: () => void): void {
    process.nextTick(pass, this.other, null, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.writableFinished) process.nextTick(pass, this.other, null, ignore);
    done(error);
  }
}

function pass(to: LocalEnd, chunk: Buffer | null, done: () => void): void {
  if (!to.destroyed) to.push(chunk);
  done();
}

type FactName = (typeof FACTS)[number];
/** What the socket of the session tells of the client's connection. */
const FACTS = [
  'remoteAddress', 'remotePort', 'remoteFamily', 'localAddress', 'localPort', 'localFamily', 'address', 'encrypted', 'authorized',
  'authorizationError', 'servername', 'getProtocol', 'getCipher', 'getSession', 'isSessionReused', 'getPeerCertificate',
] as const;

type StreamSocket = new (stream: Duplex) => Socket;
let streamSocketClass: StreamSocket | undefined;

/** The socket that node:http2 puts around a stream which is none. Made here, it can be told what it is to say of the client. */
function wrap(stream: Duplex): Socket {
  if (streamSocketClass === undefined) {
    const [one, other] = ends();
    const session = connect({ createConnection: () => one });
    session.on('error', ignore);
    streamSocketClass = session.socket.constructor as StreamSocket;
    session.destroy();
    other.destroy();
  }
  return new streamSocketClass(stream);
}

function ends(): [LocalEnd, LocalEnd] {
  const one = new LocalEnd();
  const other = new LocalEnd();
  one.other = other;
  other.other = one;
  return [one, other];
}

function ignore(): void {}

export class Http2Connection {
  readonly #session: ClientHttp2Session;
  readonly #serverStreams = new Map<number | undefined, ServerHttp2Stream>();
  /** With what is to be told when a listener of the server throws. */
  readonly #streams = new Map<ClientHttp2Stream, (error: unknown) => void>();
  #lastUse = Date.now();

  /** `exchange` is the first request that came over the client's connection. */
  constructor(server: Http2Server, exchange: NodeExchange, listeners: ListenerTable) {
    const [near, far] = ends();
    const socket = wrap(far);
    const client = new ClientSocket(exchange, exchange.request);
    for (const name of FACTS) {
      Object.defineProperty(socket, name, { get: () => bound(client, name), configurable: true, enumerable: true });
    }
    const { secure } = exchange.request;
    Object.defineProperty(socket, 'alpnProtocol', { value: secure ? 'h2' : undefined, configurable: true, enumerable: true });
    if (!listeners.connect(server, socket)) throw new Error('the server takes no more connections (maxConnections)');
    server.prependOnceListener('session', (session) => this.#observe(session));
    server.emit(isSecure(server) ? 'secureConnection' : 'connection', socket);
    this.#session = connect({
      createConnection: () => near,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW },
      maxHeaderListPairs: MOST_HEADERS,
    });
    this.#session.on('error', ignore);
    this.#session.once('connect', (session) => session.setLocalWindowSize(SESSION_WINDOW));
  }

  /** New requests can be sent: neither side has said that it closes. */
  get usable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  idle(since: number): boolean {
    return this.#streams.size === 0 && this.#lastUse < since;
  }

  request(headers: OutgoingHttpHeaders, options: { endStream: boolean; waitForTrailers: boolean }, failed: (error: unknown) => void): ClientHttp2Stream {
    const stream = this.#session.request(headers, options);
    this.#streams.set(stream, failed);
    stream.once('close', () => {
      this.#streams.delete(stream);
      this.#serverStreams.delete(stream.id);
      this.#lastUse = Date.now();
    });
    return stream;
  }

  /** The server destroyed this stream half-way. To its client that looks like an end (RST_STREAM without an error). */
  brokenByServer(stream: ClientHttp2Stream): boolean {
    return this.#serverStreams.get(stream.id)?.aborted === true;
  }

  /** Around the event by which Node's session gives a stream to the server: what its listeners throw is that request's fault. */
  #observe(session: ServerHttp2Session): void {
    const emit = session.emit.bind(session) as (event: string | symbol, ...args: unknown[]) => boolean;
    session.emit = (event: string | symbol, ...args: unknown[]): boolean => {
      if (event !== 'stream') return emit(event, ...args);
      const stream = args[0] as ServerHttp2Stream;
      this.#serverStreams.set(stream.id, stream);
      try {
        return emit(event, ...args);
      } catch (error) {
        for (const [{ id }, failed] of this.#streams) if (id === stream.id) failed(error);
        return true;
      }
    };
  }

  /** Once its streams have ended. */
  close(): void {
    if (!this.#session.destroyed) this.#session.close();
  }
}

function bound(client: ClientSocket, name: FactName): unknown {
  const value = (client as unknown as Record<FactName, unknown>)[name];
  return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(client) : value;
}

/** Servers that would encrypt get their sessions at another event. */
function isSecure(server: Http2Server): boolean {
  return 'setSecureContext' in server;
}
