/**
 * Gives one HTTP/1 request to a server of the application: real IncomingMessage and ServerResponse objects, events in the
 * order of Node's own server (lib/_http_server.js: parserOnIncoming, resOnFinish, socketOnClose).
 */
import diagnostics from 'node:diagnostics_channel';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Duplex } from 'node:stream';
import { http } from '../http-module.js';
import type { RequestHead } from '../request-head.js';
import type { NodeExchange } from './exchange.js';
import { kDetachAbortSignal, kUniqueHeaders, requestClass, responseClass } from './internals.js';
import { captureRejections } from './rejections.js';
import { RequestSocket } from './request-socket.js';
import type { ResponseInternals } from './request-socket.js';

const requestStart = diagnostics.channel('http.server.request.start');
const responseCreated = diagnostics.channel('http.server.response.created');
const responseFinish = diagnostics.channel('http.server.response.finish');

export type Request = IncomingMessage & Record<PropertyKey, unknown> & { _addHeaderLines(headers: string[], count: number): void; _dump(): void; _consuming: boolean; _readableState: { resumeScheduled: boolean } };
type Response = ServerResponse & ResponseInternals & Record<PropertyKey, unknown>;
export type RequestClass = new (socket: unknown) => Request;
type ResponseClass = new (req: Request, options: object) => Response;
type ServerInternals = Record<symbol, unknown> & { rejectNonStandardBodyWrites?: boolean };

/** `connect` is told of the socket first; when it says no, the request is refused. */
export function serve(exchange: NodeExchange, server: Server, connect: (socket: Duplex) => boolean): void {
  const internals = server as unknown as ServerInternals;
  const socket = new RequestSocket(exchange, exchange.request, chosenHighWaterMark(server));
  (socket as unknown as { server: Server }).server = server;
  const req = new (requestClass(server) as RequestClass)(socket);
  fillRequest(req, exchange.request);
  const res = new (responseClass(server) as ResponseClass)(req, {
    highWaterMark: socket.writableHighWaterMark,
    rejectNonStandardBodyWrites: internals.rejectNonStandardBodyWrites,
  });
  (res as Record<symbol, unknown>)[kUniqueHeaders] = internals[kUniqueHeaders];
  socket.req = req as never;
  socket.res = res;
  // Before the response takes the socket, so that an abort reaches the request first, as in Node.
  socket.on('close', onClose);
  exchange.onAbort = () => socket.destroy();
  exchange.closeSocket = exchange.onAbort;
  if (!connect(socket)) {
    socket.destroy();
    return;
  }
  if (server.timeout > 0) socket.setTimeout(server.timeout);
  if (requestStart.hasSubscribers) requestStart.publish({ request: req, response: res, socket, server });
  if (responseCreated.hasSubscribers) responseCreated.publish({ request: req, response: res });
  res.assignSocket(socket);
  res.on('finish', onFinish);
  captureRejections(server);
  try {
    emitRequest(server, req, res);
  } catch (error) {
    exchange.handlerFailed(error);
  }
  // The end of a request without a body is told after the request, as by a parser.
  if (!exchange.hasBody) socket.endBody();
}

const USUAL_HIGH_WATER_MARK = new Duplex().writableHighWaterMark;

/** The server's option `highWaterMark`, of which request and response learn from their socket. */
function chosenHighWaterMark(server: Server): number | undefined {
  const { highWaterMark } = server as Server & { highWaterMark?: number };
  return highWaterMark === USUAL_HIGH_WATER_MARK ? undefined : highWaterMark;
}

/** Everything of the request's head. */
export function fillRequest(req: Request, head: RequestHead): void {
  const { rawHeaders, scriptName } = head;
  req._addHeaderLines(rawHeaders, rawHeaders.length);
  // Requests of HTTP/2 have the form of HTTP/1.1 here, as behind any proxy.
  const old = head.protocol === 'HTTP/1.0' || head.protocol === 'HTTP/0.9';
  req.httpVersionMajor = 1;
  req.httpVersionMinor = old ? 0 : 1;
  req.httpVersion = old ? '1.0' : '1.1';
  req.method = head.method;
  req.url = head.urlBelowMount();
  req.upgrade = false;
  if (scriptName !== '') {
    req.originalUrl = head.target;
    req.baseUrl = scriptName;
  }
}

function emitRequest(server: Server, req: Request, res: Response): void {
  const { expect } = req.headers;
  if (expect === undefined || req.httpVersionMinor !== 1) {
    server.emit('request', req, res);
  } else if (/(?:^|\W)100-continue(?:$|\W)/i.test(expect)) {
    res._expect_continue = true;
    if (server.listenerCount('checkContinue') > 0) {
      server.emit('checkContinue', req, res);
    } else {
      // The server says "100 Continue" as soon as the application reads the body.
      res._sent100 = true;
      server.emit('request', req, res);
    }
  } else if (server.listenerCount('checkExpectation') > 0) {
    server.emit('checkExpectation', req, res);
  } else {
    res.writeHead(417);
    res.end();
  }
}

/** The response was handed over as a whole. */
function onFinish(this: Response): void {
  const res = this;
  const { req, socket } = res as unknown as { req: Request; socket: RequestSocket | null };
  if (socket === null) return;
  if (responseFinish.hasSubscribers) {
    responseFinish.publish({ request: req, response: res, socket, server: (socket as unknown as { server: Server }).server });
  }
  (req[kDetachAbortSignal] as (() => void) | undefined)?.call(req);
  if (!req._consuming && !req._readableState.resumeScheduled) req._dump();
  res.detachSocket(socket as never);
  socket._httpMessage = null;
  process.nextTick(emitClose, res);
  // The connection of one request ends with it, once the request was read or given up.
  if (req.complete) setImmediate(close, socket);
  else req.once('end', () => setImmediate(close, socket));
}

function emitClose(res: Response): void {
  if (res._closed) return;
  res.destroyed = true;
  res._closed = true;
  res.emit('close');
}

function close(socket: RequestSocket): void {
  socket.destroy();
}

/** The last event of every request. */
function onClose(this: RequestSocket): void {
  const { req, exchange } = this;
  // Without its response having been finished (it would be detached), or the request having come to its end.
  if (this._httpMessage !== null || !req.complete) req.destroy(aborted());
  (exchange as NodeExchange).finish();
}

function aborted(): Error {
  return Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
}

/**
 * Bodies are framed by the server, and the end of a response is told to the socket in the same call, so that a simple
 * response crosses over at once. On the prototype, because frameworks put their own between it and the object.
 */
export function patchServerResponse(): void {
  const prototype = http.ServerResponse.prototype as unknown as {
    _storeHeader(firstLine: string, headers: unknown): void;
    _finish(): void;
  };
  const { _storeHeader: storeHeader, _finish: finish } = prototype;
  prototype._storeHeader = function (this: Response & { chunkedEncoding: boolean }, firstLine, headers): void {
    storeHeader.call(this, firstLine, headers);
    if (this.socket instanceof RequestSocket) this.chunkedEncoding = false;
  };
  prototype._finish = function (this: Response): void {
    const { socket } = this;
    finish.call(this);
    if (socket instanceof RequestSocket) socket.finish();
  };
}
