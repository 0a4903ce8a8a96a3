/** Builds the `environ` of a request from its record. */
import { RequestErrors } from './error-stream.js';
import type { Exchange } from './exchange.js';
import { fileWrapper } from './file-wrapper.js';
import { BodyInput } from './input.js';
import { decodeRecord } from './record.js';
import type { Environ, Header } from './types.js';

const WSGI_VERSION: readonly [1, 0] = Object.freeze([1, 0] as const);

/** One descriptor for all requests: defineProperty copies it, only the functions change. */
const signalDescriptor: PropertyDescriptor = { configurable: true, enumerable: true };

/**
 * Most requests never look at their signal and an AbortController costs more than the rest of the environ, so the key
 * is an own accessor which turns into a plain value when it is read or set.
 */
function defineSignal(environ: Environ, exchange: Exchange): void {
  const settle = (value: unknown): unknown => {
    Object.defineProperty(environ, 'nwsgi.signal', { configurable: true, enumerable: true, writable: true, value });
    return value;
  };
  signalDescriptor.get = () => settle(exchange.signal);
  signalDescriptor.set = settle;
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
