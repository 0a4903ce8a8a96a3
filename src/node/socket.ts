/**
 * The connection of a client as an application sees it: a net.Socket without a handle that knows the facts of a
 * connection which the server holds. What can be read from it and written to it is up to subclasses.
 *
 * One for each request: the server does not tell which requests come over one connection.
 */
import { isIPv6, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import type { Exchange } from '../exchange.js';
import type { RequestHead } from '../request-head.js';

function family(address: string): 'IPv4' | 'IPv6' {
  return isIPv6(address) ? 'IPv6' : 'IPv4';
}

function port(text: string): number {
  return Number(text) || 0;
}

/** net.Socket's own settings, which its constructor cannot be asked for. */
const STREAM_OPTIONS = { allowHalfOpen: true, emitClose: false, autoDestroy: true, decodeStrings: false } as const;

/**
 * Made by Duplex's constructor, with the methods of net.Socket (see below): net.Socket's own constructor prepares for a
 * handle, which took a fifth of the gateway's time for a request.
 */
const UnconnectedSocket = Duplex as unknown as new (options: object) => Socket;

/** Fields of net.Socket that its methods rely on. */
interface SocketFields {
  connecting: boolean;
  _hadError: boolean;
  _parent: Socket | null;
  _host: string | null;
}

export class ClientSocket extends UnconnectedSocket {
  readonly exchange: Exchange;
  readonly head: RequestHead;
  /** Bytes that went through in either direction. */
  received = 0;
  sent = 0;

  /** `highWaterMark` where it is not that of all streams. */
  constructor(exchange: Exchange, head: RequestHead, highWaterMark?: number) {
    super(highWaterMark === undefined ? STREAM_OPTIONS : { ...STREAM_OPTIONS, highWaterMark });
    const fields = this as unknown as SocketFields;
    fields.connecting = false;
    fields._hadError = false;
    fields._parent = null;
    fields._host = null;
    this.exchange = exchange;
    this.head = head;
    if (head.secure) describeTls(this);
  }

  /** For subclasses: bytes went through in either direction, which also restarts setTimeout(). */
  protected count(received: number, sent: number): void {
    this.received += received;
    this.sent += sent;
    (this as unknown as { _unrefTimer(): void })._unrefTimer();
  }

  override address(): AddressInfo {
    const { serverAddress } = this.head;
    return { address: serverAddress, family: family(serverAddress), port: this.localPort as number };
  }

  // The server decides about these. The inherited ones would wait for a connection that never comes.
  override setNoDelay(): this {
    return this;
  }
  override setKeepAlive(): this {
    return this;
  }
  override ref(): this {
    return this;
  }
  override unref(): this {
    return this;
  }

  override _read(): void {}

  override _final(done: (error?: Error | null) => void): void {
    done();
  }
}

Object.setPrototypeOf(ClientSocket.prototype, Socket.prototype);

/** Node keeps these as accessors too; its types call them properties, which a class cannot override by accessors. */
const FACTS: Readonly<Record<string, (socket: ClientSocket) => unknown>> = {
  remoteAddress: ({ head }) => head.remoteAddress,
  remotePort: ({ head }) => port(head.remotePort),
  remoteFamily: ({ head }) => family(head.remoteAddress),
  localAddress: ({ head }) => head.serverAddress,
  localPort: ({ head, exchange }) => port(exchange.localPort || head.serverPort),
  localFamily: ({ head }) => family(head.serverAddress),
  bytesRead: ({ received }) => received,
  bytesWritten: ({ sent }) => sent,
  pending: () => false,
};

for (const [name, fact] of Object.entries(FACTS)) {
  Object.defineProperty(ClientSocket.prototype, name, {
    configurable: true,
    enumerable: true,
    get(this: ClientSocket) {
      return fact(this);
    },
  });
}

/** The variables of mod_ssl (SSLOptions +StdEnvVars) as the methods of a TLS socket; without them the answers are empty. */
function describeTls(socket: ClientSocket): void {
  const variable = (name: string): string | undefined => {
    const value = socket.exchange.variables()?.[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const verified = (): boolean => variable('SSL_CLIENT_VERIFY') === 'SUCCESS';
  Object.defineProperties(socket, {
    encrypted: { value: true, enumerable: true, writable: true, configurable: true },
    authorized: { get: verified, enumerable: true, configurable: true },
    authorizationError: { get: () => (verified() ? null : (variable('SSL_CLIENT_VERIFY') ?? null)), enumerable: true, configurable: true },
    servername: { get: () => variable('SSL_TLS_SNI') ?? false, enumerable: true, configurable: true },
    alpnProtocol: { get: () => (variable('SERVER_PROTOCOL') === 'HTTP/2.0' ? 'h2' : 'http/1.1'), enumerable: true, configurable: true },
    getProtocol: { value: () => variable('SSL_PROTOCOL') ?? null, writable: true, configurable: true },
    getCipher: { value: () => ({ name: variable('SSL_CIPHER'), standardName: variable('SSL_CIPHER'), version: variable('SSL_PROTOCOL') }), writable: true, configurable: true },
    getSession: { value: () => undefined, writable: true, configurable: true },
    isSessionReused: { value: () => variable('SSL_SESSION_RESUMED') === 'Resumed', writable: true, configurable: true },
    getPeerCertificate: { value: () => peerCertificate(variable), writable: true, configurable: true },
  });
}

type Variable = (name: string) => string | undefined;

/** In the form of tls.TLSSocket.getPeerCertificate(); `{}` when the client showed none. */
function peerCertificate(variable: Variable): Record<string, unknown> {
  const serialNumber = variable('SSL_CLIENT_M_SERIAL');
  if (serialNumber === undefined) return {};
  const pem = variable('SSL_CLIENT_CERT');
  const raw = pem === undefined ? undefined : Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  return {
    subject: distinguishedName(variable('SSL_CLIENT_S_DN')),
    issuer: distinguishedName(variable('SSL_CLIENT_I_DN')),
    valid_from: variable('SSL_CLIENT_V_START'),
    valid_to: variable('SSL_CLIENT_V_END'),
    serialNumber,
    ...(raw === undefined ? {} : { raw }),
  };
}

/** "CN=a,O=b" (RFC 4514) as `{ CN: 'a', O: 'b' }`. */
function distinguishedName(text = ''): Record<string, string> {
  const parts = text.match(/(?:\\.|[^,\\])+/g) ?? [];
  return Object.fromEntries(parts.map((part) => [part.slice(0, part.indexOf('=')).trim(), part.slice(part.indexOf('=') + 1).replace(/\\(.)/g, '$1')]));
}
