/** What wsgiref.validate is for Python: stands between server and application and throws when either breaks a rule. */
import { NwsgiTypeError, Problem } from '../errors.js';
import { isBytes } from '../bytes.js';
import { packHead } from './head.js';
import { show } from '../show.js';
import type { Chunk, Environ, ErrorStream, Header, InputStream, StartResponse, WsgiApplication, WsgiBody, Write } from './types.js';

type Loose = Record<PropertyKey, unknown>;

const REQUIRED = ['REQUEST_METHOD', 'SERVER_NAME', 'SERVER_PORT', 'wsgi.version', 'wsgi.input', 'wsgi.errors', 'wsgi.multithread', 'wsgi.multiprocess', 'wsgi.run_once'];

function demand(condition: unknown, rule: string): asserts condition {
  if (!condition) throw new NwsgiTypeError(Problem.violation, rule);
}

function isObject(value: unknown): value is Loose {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function method(object: unknown, name: string): boolean {
  return isObject(object) && typeof object[name] === 'function';
}

function checkEnviron(environ: Environ): void {
  demand(isObject(environ) && !Array.isArray(environ), `environ must be a plain object, not ${show(environ)}`);
  demand(Object.getPrototypeOf(environ) === null || Object.getPrototypeOf(environ) === Object.prototype, 'environ must be a plain object');
  for (const key of REQUIRED) demand(key in environ, `environ has no ${show(key)}`);
  for (const key of ['HTTP_CONTENT_TYPE', 'HTTP_CONTENT_LENGTH']) {
    demand(!(key in environ), `environ must not have ${key}; it is ${key.slice(5)} without HTTP_`);
  }
  for (const key of Object.keys(environ)) {
    if (key.includes('.')) continue;
    const value = environ[key];
    demand(typeof value === 'string', `environ.${key} must be a string, not ${show(value)}`);
    demand(!/[^\x00-\xff]/.test(value), `environ.${key} has a code unit above U+00FF`);
  }
  const version: unknown = environ['wsgi.version'];
  demand(Array.isArray(version) && version.length === 2 && version[0] === 1 && version[1] === 0, 'wsgi.version must be [1, 0]');
  demand(/^https?$/.test(environ['wsgi.url_scheme']), `wsgi.url_scheme must be http or https, not ${show(environ['wsgi.url_scheme'])}`);
  const { SCRIPT_NAME: script = '', PATH_INFO: path = '' } = environ;
  demand(script !== '/', 'SCRIPT_NAME must be empty, not "/", for an application at the root');
  demand(script === '' || script.startsWith('/'), `SCRIPT_NAME must start with "/": ${show(script)}`);
  demand(path === '' || path.startsWith('/') || path === '*', `PATH_INFO must start with "/": ${show(path)}`);
  demand(script !== '' || path !== '', 'one of SCRIPT_NAME and PATH_INFO must be set');
  demand(!environ.CONTENT_LENGTH || /^\d+$/.test(environ.CONTENT_LENGTH), `CONTENT_LENGTH must be digits, not ${show(environ.CONTENT_LENGTH)}`);
  for (const name of ['read', 'readline', 'readlines']) demand(method(environ['wsgi.input'], name), `wsgi.input has no ${name}()`);
  demand(Symbol.asyncIterator in environ['wsgi.input'], 'wsgi.input cannot be iterated');
  for (const name of ['write', 'writelines', 'flush']) demand(method(environ['wsgi.errors'], name), `wsgi.errors has no ${name}()`);
}

function checkSize(size: unknown, name: string): void {
  demand(size === undefined || Number.isInteger(size), `wsgi.input.${name}() takes a whole number, not ${show(size)}`);
}

function checkedInput(input: InputStream): InputStream {
  const bytes = (value: Buffer, name: string): Buffer => {
    demand(isBytes(value), `wsgi.input.${name}() must give bytes, not ${show(value)}`);
    return value;
  };
  return {
    async read(size) {
      checkSize(size, 'read');
      const data = bytes(await input.read(size), 'read');
      demand(size === undefined || size < 0 || data.length <= size, `wsgi.input.read(${size}) gave ${data.length} bytes`);
      return data;
    },
    async readline(size) {
      checkSize(size, 'readline');
      return bytes(await input.readline(size), 'readline');
    },
    async readlines(hint) {
      checkSize(hint, 'readlines');
      return (await input.readlines(hint)).map((line) => bytes(line, 'readlines'));
    },
    [Symbol.asyncIterator]: () => input[Symbol.asyncIterator](),
    chunks: () => input.chunks(),
    toReadable: () => input.toReadable(),
    close: () => {
      demand(false, 'an application must not close wsgi.input');
    },
  };
}

function checkedErrors(errors: ErrorStream): ErrorStream {
  return {
    write(text) {
      demand(typeof text === 'string', `wsgi.errors.write() takes a string, not ${show(text)}`);
      errors.write(text);
    },
    writelines(lines) {
      for (const line of lines) this.write(line);
    },
    flush: () => errors.flush(),
  };
}

function checkContentType(status: string, headers: readonly Header[]): void {
  const named = headers.some(([name]) => name.toLowerCase() === 'content-type');
  const bodiless = status.startsWith('204') || status.startsWith('304');
  demand(named || bodiless, `a response with status ${show(status)} needs a Content-Type header`);
  demand(!named || !bodiless, `a response with status ${show(status)} must not have a Content-Type header`);
}

/** The body, checked block by block; close() is passed on and checked to come once. */
class CheckedBody implements AsyncIterable<Chunk> {
  readonly #body: WsgiBody;
  readonly #started: () => boolean;
  #iterated = false;
  #closed = false;

  constructor(body: WsgiBody, started: () => boolean) {
    this.#body = body;
    this.#started = started;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, undefined> {
    demand(!this.#iterated, 'the server must iterate the body once only');
    demand(!this.#closed, 'the server must not iterate the body after close()');
    this.#iterated = true;
    for await (const chunk of this.#body) {
      demand(typeof chunk === 'string' || isBytes(chunk), `the application must give bytes or strings, not ${show(chunk)}`);
      demand(chunk.length === 0 || this.#started(), 'the application must call startResponse before its first block');
      yield chunk;
    }
    demand(this.#started(), 'the application must call startResponse before its body ends');
  }

  async close(): Promise<void> {
    demand(!this.#closed, 'the server must call close() once only');
    this.#closed = true;
    if (typeof this.#body.close === 'function') await this.#body.close();
  }
}

/**
 * Wraps `application` so that every breach of PEP 3333, by it, by a middleware inside it or by the server, throws a
 * `TypeError` with the code NWSGI2501 which names the rule. For development and tests: it costs time, and the file
 * fast path of `wsgi.file_wrapper` is off.
 */
export function validator(application: WsgiApplication): WsgiApplication {
  demand(typeof application === 'function', `an application must be a function, not ${show(application)}`);
  return async function validated(this: unknown, environ: Environ, startResponse: StartResponse, ...rest: unknown[]) {
    demand(rest.length === 0 && typeof startResponse === 'function', 'the server must call the application with environ and startResponse only');
    checkEnviron(environ);
    environ['wsgi.input'] = checkedInput(environ['wsgi.input']);
    environ['wsgi.errors'] = checkedErrors(environ['wsgi.errors']);
    let started = false;
    const checkedStart = (...given: unknown[]): Write => {
      demand(given.length === 2 || given.length === 3, `startResponse takes two or three arguments, not ${given.length}`);
      const [status, headers, excInfo] = given as Parameters<StartResponse>;
      packHead(status, headers, { statusCode: 0, head: '', contentLength: -1 });
      checkContentType(status, headers);
      const write = startResponse(status, headers, excInfo);
      demand(typeof write === 'function', 'startResponse must return write()');
      started = true;
      return (data) => {
        demand(typeof data === 'string' || isBytes(data), `write() takes bytes or a string, not ${show(data)}`);
        return write(data);
      };
    };
    const body: unknown = await application(environ, checkedStart);
    const iterable = isObject(body) && !isBytes(body) && (Symbol.asyncIterator in body || Symbol.iterator in body);
    demand(iterable, `the application must return an iterable of blocks, not ${show(body)}`);
    return new CheckedBody(body as unknown as WsgiBody, () => started);
  } as WsgiApplication;
}
