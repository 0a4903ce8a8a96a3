/** One request on its way through a session of node:http2: the exchange at one end, a stream of the client at the other. */
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { Flow } from '../exchange.js';
import { http } from '../http-module.js';
import { ReadEnd, ReadPending } from '../native.js';
import type { RequestHead } from '../request-head.js';
import { countStreamed } from '../streamed-memory.js';
import type { NodeExchange } from './exchange.js';
import type { Http2Connection } from './http2-connection.js';

const READ = 64 * 1024;
// Codes of RST_STREAM and a flag of frames (RFC 9113, 6 and 7).
const NO_ERROR = 0;
const CANCEL = 8;
const END_STREAM = 1;

/** Names that say something about a connection of HTTP/1 have no place in HTTP/2. Host is `:authority` there. */
const CONNECTION_HEADERS = new Set(['connection', 'host', 'http2-settings', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
/** Of these a request has one; a second one would be refused. */
const SINGLE_HEADERS = new Set([
  'age', 'authorization', 'content-length', 'content-location', 'content-md5', 'content-range', 'content-type', 'date', 'etag', 'expires', 'from',
  'if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified', 'location', 'max-forwards', 'proxy-authorization',
  'range', 'referer', 'retry-after', 'user-agent',
]);

export class Http2Request {
  readonly #exchange: NodeExchange;
  #connection!: Http2Connection;
  #stream!: ClientHttp2Stream;
  /** The response's head, until it is known whether the body is as short as to go along. */
  #head: string | undefined;
  #contentLength = -1;
  #trailers = '';

  constructor(exchange: NodeExchange) {
    this.#exchange = exchange;
  }

  start(connection: Http2Connection): void {
    const exchange = this.#exchange;
    const { hasBody } = exchange;
    const stream = connection.request(headersOf(exchange.request), { endStream: !hasBody, waitForTrailers: hasBody }, (error) => exchange.handlerFailed(error));
    this.#connection = connection;
    this.#stream = stream;
    exchange.onAbort = () => stream.close(CANCEL);
    exchange.closeSocket = exchange.onAbort;
    stream.on('headers', (headers) => this.#interim(headers));
    stream.on('response', (headers: IncomingHttpHeaders, flags: number, ...rest: unknown[]) => this.#respond(headers, flags, rest[0]));
    stream.on('trailers', (headers, _flags, ...rest: unknown[]) => {
      this.#trailers = linesOf(headers, rest[0]);
    });
    stream.on('error', () => this.#break());
    stream.on('close', () => this.#close());
    if (!hasBody) return;
    stream.on('wantTrailers', () => stream.sendTrailers(trailersOf(exchange)));
    stream.on('drain', () => this.#pump());
    this.#pump();
  }

  // ---- the request body ----

  #pump(): void {
    const exchange = this.#exchange;
    const stream = this.#stream;
    exchange.onBody = undefined;
    while (!stream.destroyed && !exchange.over) {
      const got = exchange.bridge.read(exchange.handle, READ);
      if (typeof got !== 'number') {
        countStreamed(got.byteLength);
        if (got.byteLength > 0 && !stream.write(got)) return;
      } else if (got === ReadPending && !exchange.aborted) {
        exchange.onBody = () => this.#pump();
        return;
      } else if (got === ReadEnd) {
        stream.end();
        return;
      } else {
        // The client left, or sent what is no body.
        stream.close(CANCEL);
        return;
      }
    }
  }

  // ---- the response ----

  #interim(headers: IncomingHttpHeaders): void {
    const exchange = this.#exchange;
    if (!exchange.ended && !exchange.headSent) exchange.bridge.interim(exchange.handle, packed(headers, undefined));
  }

  #respond(headers: IncomingHttpHeaders, flags: number, raw: unknown): void {
    const exchange = this.#exchange;
    if (exchange.ended) return;
    const head = packed(headers, raw);
    if ((flags & END_STREAM) !== 0) {
      exchange.sendAll(head);
      return;
    }
    this.#head = head;
    this.#contentLength = Number(headers['content-length'] ?? -1);
    // Only now: blocks that come in one turn with the head would be told before it.
    this.#stream.on('data', (chunk: Buffer) => this.#data(chunk));
    this.#stream.on('end', () => this.#end());
    // What was written together with the head is read in this turn.
    setImmediate(() => this.#flushHead());
  }

  #flushHead(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && !this.#exchange.ended) this.#exchange.sendHead(head);
  }

  #data(chunk: Buffer): void {
    const exchange = this.#exchange;
    if (exchange.ended) return;
    if (this.#head !== undefined && chunk.length === this.#contentLength) {
      exchange.sendAll(this.#head, chunk);
      this.#head = undefined;
      return;
    }
    this.#flushHead();
    if (exchange.send(chunk) !== Flow.Pause) return;
    this.#stream.pause();
    exchange.onWritable = () => {
      exchange.onWritable = undefined;
      this.#stream.resume();
    };
  }

  /** There will be nothing more: the server has ended its side of the stream, or the stream was reset. */
  #end(): void {
    if (this.#stream.rstCode !== NO_ERROR || this.#connection.brokenByServer(this.#stream)) return;
    const exchange = this.#exchange;
    this.#flushHead();
    if (exchange.ended) return;
    if (this.#trailers !== '') exchange.bridge.trailers(exchange.handle, this.#trailers);
    exchange.end();
  }

  #break(): void {
    this.#head = undefined;
    this.#exchange.breakOff();
  }

  #close(): void {
    // A response that has not ended by now never will.
    this.#break();
    this.#exchange.finish();
  }
}

function headersOf(head: RequestHead): OutgoingHttpHeaders {
  const headers = Object.create(null) as Record<string, string | string[]>;
  headers[':method'] = head.method;
  headers[':scheme'] = head.secure ? 'https' : 'http';
  headers[':authority'] = head.header('host') ?? '';
  headers[':path'] = head.urlBelowMount();
  const named = head.header('connection')?.toLowerCase().split(/[\s,]+/) ?? [];
  const { rawHeaders } = head;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    const value = rawHeaders[i + 1] as string;
    if (CONNECTION_HEADERS.has(name) || named.includes(name) || (name === 'te' && value.toLowerCase() !== 'trailers')) continue;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else if (!SINGLE_HEADERS.has(name)) headers[name] = [before, value];
  }
  return headers;
}

function trailersOf(exchange: NodeExchange): OutgoingHttpHeaders {
  const trailers = Object.create(null) as Record<string, string>;
  for (const line of exchange.bridge.requestTrailers(exchange.handle).split('\n')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    if (name !== '' && !CONNECTION_HEADERS.has(name)) trailers[name] = line.slice(colon + 1).trim();
  }
  return trailers;
}

/** Status and headers for the bridge; `raw` has them in their order, names and values in turn. */
function packed(headers: IncomingHttpHeaders, raw: unknown): string {
  const status = Number(headers[':status']);
  return `${status} ${http.STATUS_CODES[status] ?? 'Unknown'}\n${linesOf(headers, raw)}`;
}

function linesOf(headers: IncomingHttpHeaders, raw: unknown): string {
  const list = Array.isArray(raw) ? (raw as string[]) : Object.entries(headers).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, String(one)]));
  let lines = '';
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    if (!name.startsWith(':')) lines += `${name}:${list[i + 1]}\n`;
  }
  return lines;
}
