/** Builds the `environ` of a request from its record. */
import { RequestErrors } from './error-stream.js';
import type { Exchange } from './exchange.js';
import { fileWrapper } from './file-wrapper.js';
import { BodyInput } from './input.js';
import { decodeRecord } from './record.js';
import type { Environ, Header } from './types.js';

const WSGI_VERSION: readonly [1, 0] = Object.freeze([1, 0] as const);

/** Leads from an environ to its request; not enumerable, so that no copy or listing of an environ has it. */
const REQUEST = Symbol('nwsgi.request');

interface Linked {
  [REQUEST]?: Exchange;
}

function settleSignal(environ: object, value: unknown): void {
  Object.defineProperty(environ, 'nwsgi.signal', { configurable: true, enumerable: true, writable: true, value });
}

/**
 * Most requests never look at their signal, and an AbortController costs as much as half of the environ. So the key is
 * an own accessor which turns into a plain value when it is read or set. Its functions and the descriptors are shared
 * by all requests: V8 needs 5 µs for an accessor with functions of its own, 0.2 µs for one with known ones.
 */
const signalDescriptor: PropertyDescriptor = {
  configurable: true,
  enumerable: true,
  get(this: Linked): AbortSignal | undefined {
    const signal = this[REQUEST]?.signal;
    settleSignal(this, signal);
    return signal;
  },
  set(this: Linked, value: unknown) {
    settleSignal(this, value);
  },
};
const requestDescriptor: PropertyDescriptor = { configurable: false, enumerable: false, writable: false, value: undefined };

function defineSignal(environ: Environ, exchange: Exchange): void {
  requestDescriptor.value = exchange;
  Object.defineProperty(environ, REQUEST, requestDescriptor);
  requestDescriptor.value = undefined;
  Object.defineProperty(environ, 'nwsgi.signal', signalDescriptor);
}

/**
 * Decodes `record` into a fresh environ (W-04) and the instructions for `exchange`.
 *
 * @throws NwsgiError NWSGI2213 for a malformed record; `exchange.environ` is then partly filled.
 */
export function buildEnviron(exchange: Exchange, record: string, version: string): void {
  const environ = Object.create(null) as Environ;
  exchange.environ = environ;
  decodeRecord(record, environ, exchange);
  exchange.script = environ.SCRIPT_FILENAME ?? '';
  exchange.isHead = environ.REQUEST_METHOD === 'HEAD';
  exchange.isHttp10 = environ.SERVER_PROTOCOL === 'HTTP/1.0' || environ.SERVER_PROTOCOL === 'HTTP/0.9';
  environ['wsgi.version'] = WSGI_VERSION;
  environ['wsgi.input'] = new BodyInput(exchange);
  environ['wsgi.errors'] = new RequestErrors(exchange);
  environ['wsgi.multithread'] = false;
  environ['wsgi.multiprocess'] = exchange.multiprocess;
  environ['wsgi.run_once'] = false;
  environ['wsgi.input_terminated'] = true;
  environ['wsgi.file_wrapper'] = fileWrapper;
  environ['wsgi.early_hints'] = (headers: readonly Header[]) => exchange.earlyHints(headers);
  environ['nwsgi.interleaved'] = true;
  environ['nwsgi.version'] = version;
  defineSignal(environ, exchange);
}
