/**
 * The Request that a fetch handler gets. It is an `instanceof Request` and has all of its members, but none of its parts
 * is made before somebody asks for it: a platform Request costs more than the rest of the gateway's work.
 *
 * What has to be a platform Request inside (clone(), new Request(request), fetch(request), members unknown here) is
 * done by one that is made on demand, see {@link platformRequest}. From then on that one has the body.
 */
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { BLOCK } from '../body-reader.js';
import type { FetchExchange } from './exchange.js';

/** Leads from a request to what it is made of; a property, so that proxies of a request work. */
const STATE = Symbol('nwsgi.request');

const EMPTY = Buffer.alloc(0);

class RequestState {
  readonly exchange: FetchExchange;
  #headers: Headers | undefined;
  #stream: ReadableStream<Uint8Array> | undefined;
  #platform: Request | undefined;
  /** The body was read, without a stream. */
  #used = false;

  constructor(exchange: FetchExchange) {
    this.exchange = exchange;
  }

  get headers(): Headers {
    return (this.#headers ??= headersOf(this.exchange.head.rawHeaders));
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#platform !== undefined) return this.#platform.body;
    if (!this.exchange.readable) return null;
    return (this.#stream ??= streamOf(this.exchange, this.#used));
  }

  get bodyUsed(): boolean {
    if (this.#platform !== undefined) return this.#platform.bodyUsed;
    return this.#used || (this.#stream !== undefined && Readable.isDisturbed(this.#stream as never));
  }

  /** The whole body, once. */
  async consume(): Promise<Buffer> {
    if (!this.exchange.readable) return EMPTY;
    if (this.#platform === undefined) {
      if (this.bodyUsed || this.#stream?.locked === true) throw new TypeError('Body is unusable: Body has already been read');
      if (this.#stream === undefined) {
        this.#used = true;
        return this.exchange.reader.rest();
      }
    }
    return Buffer.from(await this.platform.arrayBuffer());
  }

  /** The whole body as a platform Response, which can make anything of it. */
  async response(): Promise<Response> {
    const bytes = await this.consume();
    const type = this.headers.get('content-type');
    return new Response(bytes, type === null ? {} : { headers: { 'content-type': type } });
  }

  get platform(): Request {
    return (this.#platform ??= this.#makePlatform());
  }

  #makePlatform(): Request {
    const { exchange } = this;
    const init: RequestInit = { method: exchange.head.method, headers: this.headers, signal: exchange.signal };
    if (!exchange.readable) return new Request(exchange.url, init);
    const unusable = this.bodyUsed || this.#stream?.locked === true;
    const body = unusable ? new ReadableStream() : (this.body as ReadableStream);
    const made = new Request(exchange.url, { ...init, body, duplex: 'half' } as RequestInit);
    if (unusable) void made.body?.cancel();
    return made;
  }

  /** The platform's request with the headers as they are now: the handler may have changed its own. */
  get current(): Request {
    const { platform } = this;
    for (const name of [...platform.headers.keys()]) platform.headers.delete(name);
    for (const [name, value] of this.headers) platform.headers.append(name, value);
    return platform;
  }
}

function headersOf(raw: readonly string[]): Headers {
  const headers = new Headers();
  for (let i = 0; i < raw.length; i += 2) {
    try {
      headers.append(raw[i] as string, raw[i + 1] as string);
    } catch {
      // A name or value that the server let through and the Fetch standard does not know.
    }
  }
  return headers;
}

/** The body as a stream that takes from the bridge only what is read. */
function streamOf(exchange: FetchExchange, used: boolean): ReadableStream<Uint8Array> {
  const source = {
    type: 'bytes',
    async pull(controller: ReadableByteStreamController): Promise<void> {
      const block = used ? undefined : await exchange.reader.next(BLOCK);
      if (block !== undefined) {
        controller.enqueue(block);
        return;
      }
      controller.close();
      // A reader with a buffer of its own waits for an answer all the same.
      (controller.byobRequest as unknown as { respond(bytes: number): void } | null)?.respond(0);
    },
  };
  const stream = new ReadableStream(source as never, { highWaterMark: 0 }) as ReadableStream<Uint8Array>;
  if (used) void stream.cancel();
  return stream;
}

function textOf(bytes: Buffer): string {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.toString('utf8', 3) : bytes.toString();
}

/** Its prototype becomes that of all requests; the constructor is seen by nobody. */
class IncomingRequest {
  readonly [STATE]: RequestState;

  constructor(exchange: FetchExchange) {
    this[STATE] = new RequestState(exchange);
  }

  get method(): string {
    return this[STATE].exchange.head.method;
  }

  get url(): string {
    return this[STATE].exchange.url;
  }

  get headers(): Headers {
    return this[STATE].headers;
  }

  get signal(): AbortSignal {
    return this[STATE].exchange.signal;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this[STATE].body;
  }

  get bodyUsed(): boolean {
    return this[STATE].bodyUsed;
  }

  async text(): Promise<string> {
    return textOf(await this[STATE].consume());
  }

  async json(): Promise<unknown> {
    return JSON.parse(textOf(await this[STATE].consume())) as unknown;
  }

  async arrayBuffer(): Promise<ArrayBufferLike> {
    const { buffer, byteOffset, byteLength } = await this[STATE].consume();
    return byteOffset === 0 && byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
  }

  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.arrayBuffer());
  }

  async blob(): Promise<unknown> {
    return (await this[STATE].response()).blob();
  }

  async formData(): Promise<FormData> {
    return (await this[STATE].response()).formData();
  }

  clone(): Request {
    return this[STATE].current.clone();
  }

  [inspect.custom](_depth: unknown, options: object): string {
    return inspect(this[STATE].current, options);
  }
}

/** The request of `exchange`. {@link installRequests} was called before. */
export function makeRequest(exchange: FetchExchange): Request {
  return new IncomingRequest(exchange) as unknown as Request;
}

/** The platform's request behind one of ours; anything else as it is. */
export function platformRequest(value: unknown): unknown {
  const state = typeof value === 'object' && value !== null ? (value as Partial<IncomingRequest>)[STATE] : undefined;
  return state === undefined ? value : state.current;
}

/** Makes our requests instances of `platform`, with all of its members. */
export function installRequests(platform: typeof Request): void {
  const own = IncomingRequest.prototype;
  if (Object.getPrototypeOf(own) === platform.prototype) return;
  for (const [key, { get, value, enumerable = false }] of Object.entries(Object.getOwnPropertyDescriptors(platform.prototype))) {
    if (key === 'constructor') continue;
    const ours = Object.getOwnPropertyDescriptor(own, key);
    if (ours !== undefined) Object.defineProperty(own, key, { ...ours, enumerable });
    else if (get !== undefined) Object.defineProperty(own, key, { configurable: true, enumerable, get: delegatingGetter(key) });
    else if (typeof value === 'function') Object.defineProperty(own, key, { configurable: true, enumerable, writable: true, value: delegatingMethod(key) });
  }
  Reflect.deleteProperty(own, 'constructor');
  Object.setPrototypeOf(own, platform.prototype as object);
}

function delegatingGetter(key: string): (this: IncomingRequest) => unknown {
  return function () {
    return Reflect.get(this[STATE].platform, key);
  };
}

function delegatingMethod(key: string): (this: IncomingRequest, ...given: unknown[]) => unknown {
  return function (...given) {
    const { current } = this[STATE];
    return (Reflect.get(current, key) as (...given: unknown[]) => unknown).apply(current, given);
  };
}
