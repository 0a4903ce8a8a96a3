/**
 * Responses whose body is a string or bytes. The platform makes a stream of every body, which costs several times what the
 * rest of such a response does, and nobody reads it: the gateway sends the text as it is.
 *
 * So the constructor makes a platform Response without a body, and remembers the body beside it. Whoever asks for the body
 * or one of its forms gets that of a second platform Response which is made then. Everything else is the platform's own.
 */

/** Leads from a response to its body; a property, so that proxies of a response work. */
const SOURCE = Symbol('nwsgi.body');

type Whole = string | Uint8Array;
type Member = (this: unknown, ...given: unknown[]) => unknown;

interface Sourced {
  [SOURCE]?: BodySource;
}

const TEXT_TYPE = 'text/plain;charset=UTF-8';
const MEMBERS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'];

let Platform: typeof Response;
let Wrapped: typeof Response;

class BodySource {
  readonly value: Whole;
  #holder: Response | undefined;
  #taken = false;

  constructor(value: Whole) {
    this.value = value;
  }

  /** The response that has the body of `owner`. */
  holder(owner: Response): Response {
    if (this.#holder === undefined) {
      const type = owner.headers.get('content-type');
      this.#holder = new Platform(this.value as string, type === null ? {} : { headers: { 'content-type': type } });
      if (this.#taken) void this.#holder.body?.cancel();
    }
    return this.#holder;
  }

  get used(): boolean {
    return this.#taken || this.#holder?.bodyUsed === true;
  }

  /** The body, for sending it; undefined when somebody has, or had, its stream. */
  take(): Whole | undefined {
    if (this.#taken || this.#holder !== undefined) return undefined;
    this.#taken = true;
    return this.value;
  }

  cloneFor(owner: Response): Response {
    const init = { status: owner.status, statusText: owner.statusText, headers: owner.headers };
    if (!this.#taken && this.#holder === undefined) return withSource(new Platform(null, init), this.value);
    return new Platform(this.holder(owner).clone().body, init);
  }
}

function withSource(response: Response, value: Whole): Response {
  (response as Sourced)[SOURCE] = new BodySource(value);
  return response;
}

function isNullBody(status: number): boolean {
  return status === 204 || status === 205 || status === 304 || status === 101;
}

/** The body of a response that is there as a whole, once; undefined when it has to be read as a stream, if it has one. */
export function takeWhole(response: Response): Whole | undefined {
  return (response as Sourced)[SOURCE]?.take();
}

function construct(platform: typeof Response, given: unknown[], newTarget: Function): Response {
  // Reflect.construct() takes several times as long as `new`, which makes the same for all but derived classes.
  const make = (body: unknown, init: unknown): Response =>
    newTarget === Wrapped ? new platform(body as string, init as ResponseInit) : (Reflect.construct(platform as Function, [body, init], newTarget) as Response);
  const [body, init] = given;
  const isText = typeof body === 'string';
  if (!isText && !(body instanceof Uint8Array && body.buffer instanceof ArrayBuffer)) return make(body, init);
  const response = make(null, init);
  // The platform has its own words for what is wrong.
  if (isNullBody(response.status)) return make(body, init);
  if (isText && !response.headers.has('content-type')) response.headers.append('content-type', TEXT_TYPE);
  return withSource(response, isText ? body : new Uint8Array(body));
}

function wrapJson(platform: typeof Response): void {
  const before = Object.getOwnPropertyDescriptor(platform, 'json');
  if (before === undefined) return;
  const original = before.value as Member;
  const wrapped = new Proxy(original, {
    apply(target, self, given: unknown[]) {
      const text = JSON.stringify(given[0]) as string | undefined;
      if (text === undefined) return Reflect.apply(target, self, given);
      const response = new platform(null, given[1] as ResponseInit);
      if (isNullBody(response.status)) return Reflect.apply(target, self, given);
      if (!response.headers.has('content-type')) response.headers.append('content-type', 'application/json');
      return withSource(response, text);
    },
  });
  Object.defineProperty(platform, 'json', { ...before, value: wrapped });
}

function wrapMethod(prototype: object, name: string, instead: (owner: Response, source: BodySource) => unknown): void {
  const before = Object.getOwnPropertyDescriptor(prototype, name);
  if (before === undefined) return;
  const wrapped = new Proxy(before.value as Member, {
    apply(target, self: unknown, given) {
      const source = (self as Sourced | null | undefined)?.[SOURCE];
      return source === undefined ? Reflect.apply(target, self, given) : instead(self as Response, source);
    },
  });
  Object.defineProperty(prototype, name, { ...before, value: wrapped });
}

function wrapGetter(prototype: object, name: string, instead: (owner: Response, source: BodySource) => unknown): void {
  const before = Object.getOwnPropertyDescriptor(prototype, name);
  if (before?.get === undefined) return;
  const wrapped = new Proxy(before.get, {
    apply(target, self: unknown) {
      const source = (self as Sourced | null | undefined)?.[SOURCE];
      return source === undefined ? (Reflect.apply(target, self, []) as unknown) : instead(self as Response, source);
    },
  });
  Object.defineProperty(prototype, name, { ...before, get: wrapped });
}

/** Prepares the platform's Response, and returns the constructor that stands for it from now on. */
export function wrapResponse(platform: typeof Response): typeof Response {
  Platform = platform;
  const prototype = platform.prototype as object;
  wrapGetter(prototype, 'body', (owner, source) => source.holder(owner).body);
  wrapGetter(prototype, 'bodyUsed', (_owner, source) => source.used);
  wrapMethod(prototype, 'clone', (owner, source) => source.cloneFor(owner));
  for (const name of MEMBERS) {
    wrapMethod(prototype, name, (owner, source) => {
      const holder = source.holder(owner);
      return (Reflect.get(holder, name) as Member).call(holder);
    });
  }
  wrapJson(platform);
  Wrapped = new Proxy(platform, { construct });
  platform.prototype.constructor = Wrapped;
  return Wrapped;
}
