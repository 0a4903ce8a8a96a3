/** One bridge for both kinds of requests: the handle says whether the addon has it, or the HTTP server. */
import { writeLog } from '../../daemon-log.js';
import { OVER, ReadError } from '../../native.js';
import type { NativeBridge } from '../../native.js';
import type { HttpRequest } from './request.js';
import { FIRST_HANDLE } from './server.js';
import type { HttpServer } from './server.js';

/** `bridge` for the rest, and for handles of its own. */
export function withHttp(bridge: NativeBridge, http: HttpServer): NativeBridge {
  const choose = <A extends unknown[], R>(own: (handle: number, ...args: A) => R, act: (request: HttpRequest, ...args: A) => R, over: R) => (handle: number, ...args: A): R => {
    if (handle < FIRST_HANDLE) return own(handle, ...args);
    const request = http.find(handle);
    return request === undefined ? over : act(request, ...args);
  };
  return {
    ...bridge,
    attach(records, envelopes, onTurn) {
      bridge.attach(records, envelopes, onTurn);
      http.attach(records, envelopes, onTurn);
    },
    record: choose(bridge.record, (request) => request.record, ''),
    respond: choose(bridge.respond, (request, head, body) => request.respond(head, body), OVER),
    head: choose(bridge.head, (request, head) => request.sendHead(head), OVER),
    write: choose(bridge.write, (request, chunk) => request.write(chunk), OVER),
    sendFile: choose(bridge.sendFile, (request, fd, offset, length) => request.sendFile(fd, offset, length), OVER),
    interim: choose(bridge.interim, (request, head) => request.interim(head), OVER),
    upgrade: choose(bridge.upgrade, (request, head) => request.upgrade(head), OVER),
    trailers: choose(bridge.trailers, (request, lines) => request.addTrailers(lines), OVER),
    requestTrailers: choose(bridge.requestTrailers, (request) => request.trailers, ''),
    end: choose(bridge.end, (request) => request.end(), OVER),
    abort: choose(bridge.abort, (request) => request.destroy(), OVER),
    fail: (handle, status, code, message) => (handle < FIRST_HANDLE ? bridge.fail(handle, status, code, message) : http.fail(handle, status)),
    release: (handle) => (handle < FIRST_HANDLE ? bridge.release(handle) : http.release(handle)),
    read: choose(bridge.read, (request, most) => request.read(most), ReadError),
    bodyError: choose(bridge.bodyError, (request) => request.bodyError, 'the request is over'),
    abortReason: choose(bridge.abortReason, (request) => request.abortReason, 0),
    log: (handle, level, text) => (handle < FIRST_HANDLE ? bridge.log(handle, level, text) : writeLog(level, text)),
  };
}
