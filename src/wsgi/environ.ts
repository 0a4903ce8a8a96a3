/** Builds the `environ` of a request from its record. */
import { RequestErrors } from './error-stream.js';
import type { WsgiExchange } from './exchange.js';
import { fileWrapper } from './file-wrapper.js';
import { BodyInput } from './input.js';
import { RecordDecoder } from '../record.js';
import type { Environ, Header } from './types.js';

const WSGI_VERSION: readonly [1, 0] = Object.freeze([1, 0] as const);

/** Leads from an environ to its request; not enumerable, so that no copy or listing of an environ has it. */
const REQUEST = Symbol('nwsgi.request');

interface Linked {
  [REQUEST]?: WsgiExchange;
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

function defineSignal(environ: Environ, exchange: WsgiExchange): void {
  requestDescriptor.value = exchange;
  Object.defineProperty(environ, REQUEST, requestDescriptor);
  requestDescriptor.value = undefined;
  Object.defineProperty(environ, 'nwsgi.signal', signalDescriptor);
}

/**
 * An environ with the keys that nearly every request has. V8 copies the table of such a literal as a whole, as long as all
 * values are constants, which costs a fifth of adding the keys one by one. The empty ones come from the record.
 */
function blankEnviron(): Environ {
  return {
    __proto__: null,
    REQUEST_METHOD: '',
    SCRIPT_NAME: '',
    PATH_INFO: '',
    QUERY_STRING: '',
    REQUEST_URI: '',
    RAW_URI: '',
    SERVER_NAME: '',
    SERVER_PORT: '',
    SERVER_ADDR: '',
    SERVER_ADMIN: '',
    SERVER_PROTOCOL: '',
    SERVER_SOFTWARE: '',
    GATEWAY_INTERFACE: '',
    REMOTE_ADDR: '',
    REMOTE_PORT: '',
    DOCUMENT_ROOT: '',
    SCRIPT_FILENAME: '',
    REQUEST_SCHEME: '',
    CONTEXT_PREFIX: '',
    CONTEXT_DOCUMENT_ROOT: '',
    HTTP_HOST: '',
    HTTP_USER_AGENT: '',
    HTTP_ACCEPT: '',
    'wsgi.url_scheme': '',
    'nwsgi.process_group': '',
    'nwsgi.application_group': '',
    'nwsgi.callable_object': '',
    'nwsgi.request_id': '',
    'wsgi.version': null,
    'wsgi.input': null,
    'wsgi.errors': null,
    'wsgi.multithread': false,
    'wsgi.multiprocess': false,
    'wsgi.run_once': false,
    'wsgi.input_terminated': true,
    'wsgi.file_wrapper': null,
    'wsgi.early_hints': null,
    'nwsgi.interleaved': true,
    'nwsgi.version': null,
    'nwsgi.signal': null,
  } as unknown as Environ;
}

const blank = Object.entries(blankEnviron());
const EXPECTED = blank.filter(([, value]) => value === '').map(([key]) => key);
const OWN = blank.filter(([, value]) => value !== '').map(([key]) => key);
const decoder = new RecordDecoder(EXPECTED, OWN);

/**
 * Decodes the record in `bytes` into a fresh environ (W-04) and the instructions for `exchange`.
 *
 * @throws NwsgiError NWSGI2213 for a malformed record; `exchange.environ` is then partly filled.
 */
export function buildEnviron(exchange: WsgiExchange, bytes: Buffer, start: number, end: number, version: string): void {
  const environ = blankEnviron();
  exchange.environ = environ;
  const seen = decoder.decode(bytes, start, end, environ, exchange);
  if (seen !== decoder.all) removeMissing(environ, seen);
  exchange.isHead = environ.REQUEST_METHOD === 'HEAD';
  exchange.isHttp10 = environ.SERVER_PROTOCOL === 'HTTP/1.0' || environ.SERVER_PROTOCOL === 'HTTP/0.9';
  environ['wsgi.version'] = WSGI_VERSION;
  environ['wsgi.input'] = new BodyInput(exchange);
  environ['wsgi.errors'] = new RequestErrors(exchange);
  environ['wsgi.multiprocess'] = exchange.multiprocess;
  environ['wsgi.file_wrapper'] = fileWrapper;
  environ['wsgi.early_hints'] = (headers: readonly Header[]) => exchange.earlyHints(headers);
  environ['nwsgi.version'] = version;
  defineSignal(environ, exchange);
}

/** What the request does not have is absent, not empty (W-24). */
function removeMissing(environ: Environ, seen: number): void {
  for (let i = 0; i < EXPECTED.length; i++) {
    if ((seen & (1 << i)) === 0) delete environ[EXPECTED[i] as string];
  }
}
