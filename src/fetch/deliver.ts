/** Calls the handler for one request and delivers the Response that it returns. */
import { isBytes } from '../bytes.js';
import { NwsgiError, NwsgiTypeError, Problem } from '../errors.js';
import { Flow } from '../exchange.js';
import type { Exchange } from '../exchange.js';
import { patiently } from '../patience.js';
import { nextTurn, TurnShare } from '../turns.js';
import { show } from '../show.js';
import { FetchContext, FetchEnvironment } from './context.js';
import type { FetchExchange } from './exchange.js';
import { packHead } from './head.js';
import type { PackedHead } from './head.js';
import { makeRequest } from './request.js';
import { takeWhole } from './response.js';
import type { FetchHandler } from './types.js';

type Step = Awaited<ReturnType<ReadableStreamDefaultReader<unknown>['read']>>;

/** A stream that has something ready gives it within so many microtasks, also through a few transformations. */
const MICROTASKS = 16;

function ignore(): void {}

/** Returns true when the request is over already. Otherwise `done` runs when it is. */
export function run(exchange: FetchExchange, handler: FetchHandler, done: (exchange: Exchange) => void): boolean {
  let rest: Promise<void> | undefined;
  try {
    const result: unknown = handler.fetch(makeRequest(exchange), new FetchEnvironment(exchange), new FetchContext(exchange));
    rest = isThenable(result) ? deliverLater(exchange, result) : deliver(exchange, result);
  } catch (error) {
    exchange.fail(error);
  }
  if (rest === undefined && !exchange.hasBackground) {
    exchange.release();
    return true;
  }
  void finish(exchange, rest).then(() => done(exchange));
  return false;
}

/** Never rejects. */
async function finish(exchange: FetchExchange, rest: Promise<void> | undefined): Promise<void> {
  try {
    await rest;
  } catch (error) {
    exchange.fail(error);
  }
  exchange.release();
  await exchange.background();
}

async function deliverLater(exchange: FetchExchange, pending: PromiseLike<unknown>): Promise<void> {
  const result = await patiently(exchange, pending, discard);
  if (exchange.aborted) discard(result);
  else await deliver(exchange, result);
}

/** Returns undefined when everything was handed over already. */
function deliver(exchange: FetchExchange, response: unknown): Promise<void> | undefined {
  if (!isResponse(response)) throw new NwsgiTypeError(Problem.noResponse, `the fetch handler returned ${show(response)}, not a Response`);
  if (exchange.aborted) {
    discard(response);
    return undefined;
  }
  const head = packHead(response);
  const whole = takeWhole(response);
  if (whole !== undefined) {
    sendWhole(exchange, head, response.status, whole);
    return undefined;
  }
  const { body } = response;
  if (response.bodyUsed || body?.locked === true) {
    throw new NwsgiTypeError(Problem.usedResponse, 'the body of the Response was read before, or is being read; return response.clone(), or make a Response for each request');
  }
  if (body === null || exchange.isHead || isBodiless(response.status)) {
    if (body !== null) void body.cancel().catch(ignore);
    exchange.sendAll(headOf(head, response.status, body === null && !exchange.isHead ? 0 : -1));
    return undefined;
  }
  return stream(exchange, head, response.status, body);
}

function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

/** `length` is that of the body, -1 if it is not known; what the response itself says goes first. */
function headOf({ text, contentLength }: PackedHead, status: number, length: number): string {
  const told = contentLength < 0 ? length : contentLength;
  // 204 has no length; that of 304 tells about the representation, if the handler knows it.
  if (told < 0 || status === 204 || (status === 304 && contentLength < 0)) return text;
  return `${text}Content-Length:${told}\n`;
}

/** Head, a complete body and the end in one call. */
function sendWhole(exchange: FetchExchange, head: PackedHead, status: number, body: Uint8Array | string): void {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  if (exchange.isHead) {
    exchange.sendAll(headOf(head, status, length === 0 ? -1 : length));
    return;
  }
  if (head.contentLength >= 0 && head.contentLength !== length) throw wrongLength(head, length);
  exchange.sendAll(headOf(head, status, length), length === 0 ? undefined : body);
}

async function stream(exchange: FetchExchange, head: PackedHead, status: number, body: ReadableStream<unknown>): Promise<void> {
  const reader = body.getReader() as ReadableStreamDefaultReader<unknown>;
  // Ends a read that waits, whatever the source makes of it.
  exchange.onAbort = () => void reader.cancel(exchange.abortError()).catch(ignore);
  try {
    let pending = reader.read() as Promise<Step>;
    let step = await soon(pending);
    let first: Uint8Array | string = '';
    if (step?.done === false) {
      first = blockOf(step.value);
      pending = reader.read() as Promise<Step>;
      step = await soon(pending);
    }
    if (exchange.aborted) return;
    if (step?.done === true) {
      sendWhole(exchange, head, status, first);
      return;
    }
    exchange.sendHead(headOf(head, status, -1));
    await pump(exchange, reader, pending, first, head);
  } catch (error) {
    void reader.cancel(error).catch(ignore);
    throw error;
  } finally {
    exchange.onAbort = undefined;
  }
}

/** Each block at once, with back-pressure, until the end, an error, or until nobody needs more. */
async function pump(exchange: FetchExchange, reader: ReadableStreamDefaultReader<unknown>, pending: Promise<Step>, first: Uint8Array | string, head: PackedHead): Promise<void> {
  const share = new TurnShare();
  let next = pending;
  let block = first;
  let sent = 0;
  for (;;) {
    const size = typeof block === 'string' ? Buffer.byteLength(block) : block.byteLength;
    sent += size;
    if (head.contentLength >= 0 && sent > head.contentLength) throw wrongLength(head, sent);
    const flow = size === 0 ? Flow.Continue : exchange.send(block);
    if (flow === Flow.Stop) return;
    if (flow === Flow.Pause) {
      await exchange.writable();
      share.renew();
    } else if (share.usedUp()) {
      await nextTurn();
      share.renew();
    }
    const step = await next;
    if (exchange.aborted) return;
    if (step.done) break;
    block = blockOf(step.value);
    next = reader.read() as Promise<Step>;
    next.catch(ignore); // An error that comes while this one waits is met by the next round.
  }
  if (head.contentLength >= 0 && sent < head.contentLength) throw wrongLength(head, sent);
  exchange.end();
}

/** The result of `promise` if it is there without any input or output; its rejection is thrown. */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let i = 0; i < MICROTASKS && !settled; i++) await undefined;
  return settled ? promise : undefined;
}

function blockOf(value: unknown): Uint8Array | string {
  if (typeof value === 'string' || isBytes(value)) return value;
  throw new NwsgiTypeError(Problem.badChunk, `a block of the response must be a Uint8Array or a string, not ${show(value)}`);
}

function wrongLength(head: PackedHead, length: number): NwsgiError {
  return new NwsgiError(Problem.wrongLength, `the body has ${length} bytes or more, Content-Length is ${head.contentLength}`);
}

/** A response that came when nobody waited for it any more: its source hears of it. */
function discard(response: unknown): void {
  if (isResponse(response) && response.body !== null && !response.body.locked) void response.body.cancel().catch(ignore);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** Also one of another realm, or of another make than the platform's. */
function isResponse(value: unknown): value is Response {
  if (value instanceof Response) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { [Symbol.toStringTag]: tag, headers, body } = value as Partial<Response> & { [Symbol.toStringTag]?: unknown };
  return tag === 'Response' && typeof headers === 'object' && Symbol.iterator in headers && (body === null || typeof body?.getReader === 'function');
}
