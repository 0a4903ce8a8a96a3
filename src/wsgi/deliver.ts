/** Runs the application for one request and delivers what it returns (W-01…W-09, W-85…W-107, W-117…W-123). */
import { Readable } from 'node:stream';
import { logText, NwsgiTypeError, Problem } from '../errors.js';
import { isBytes } from '../bytes.js';
import { Flow } from '../exchange.js';
import type { Exchange } from '../exchange.js';
import { patiently } from '../patience.js';
import { badChunk } from './exchange.js';
import type { WsgiExchange } from './exchange.js';
import { WrappedFile } from './file-wrapper.js';
import { show } from '../show.js';
import { LogLevel } from '../native.js';
import { nextTurn, TurnShare } from '../turns.js';
import type { Chunk, StartResponse, WsgiApplication, Write } from './types.js';

/** An array up to this size is sent with one call. */
const ONE_CALL = 64 * 1024;

type AnyIterator = Iterator<unknown> | AsyncIterator<unknown>;
type Indexed = Record<PropertyKey, unknown>;

/**
 * Calls the application. Returns true when the request is over already: the common case, an array returned by a
 * synchronous callable, allocates no promise. Otherwise `done` runs when it is over.
 */
export function run(exchange: WsgiExchange, application: WsgiApplication, done: (exchange: Exchange) => void): boolean {
  let write: Write | undefined;
  const startResponse: StartResponse = (status, headers, excInfo) => {
    exchange.startResponse(status, headers, excInfo);
    return (write ??= (data) => exchange.write(data));
  };
  let result: unknown;
  try {
    result = application(exchange.environ, startResponse);
    if (Array.isArray(result) && !exchange.written) {
      if (deliverArray(exchange, result) && !hasClose(result)) {
        exchange.release();
        return true;
      }
    }
  } catch (error) {
    exchange.fail(error);
  }
  void settle(exchange, result).then(() => done(exchange));
  return false;
}

/** What remains to be done with a result, up to the release of the request. Never rejects. */
async function settle(exchange: WsgiExchange, pending: unknown): Promise<void> {
  let result = pending;
  try {
    if (isThenable(pending)) {
      result = undefined;
      result = await patiently(exchange, pending, (late) => closeUnused(exchange, late));
    }
    if (!exchange.ended) {
      await deliver(exchange, result);
      exchange.complete();
    }
  } catch (error) {
    exchange.fail(error);
  }
  try {
    if (result instanceof Readable || hasClose(result)) await patiently(exchange, closeResult(result));
  } catch (error) {
    logClose(exchange, error);
  }
  exchange.release();
}

/** A result that came when nobody needed it any more. */
function closeUnused(exchange: WsgiExchange, result: unknown): void {
  closeResult(result).catch((error: unknown) => logClose(exchange, error));
}

function isObject(value: unknown): value is Indexed {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return isObject(value) && typeof value.then === 'function';
}

function hasClose(value: unknown): value is { close(): unknown } {
  return isObject(value) && typeof value.close === 'function';
}

/** W-91, W-92: called once for each result, after the last byte was handed over. */
async function closeResult(result: unknown): Promise<void> {
  if (result instanceof Readable) {
    // A stream that was never read would keep its file or socket open (HEAD, 304, an early error).
    result.on('error', () => {});
    if (!result.destroyed) result.destroy();
  }
  if (hasClose(result)) await result.close();
}

async function deliver(exchange: WsgiExchange, result: unknown): Promise<void> {
  if (exchange.aborted) return;
  if (Array.isArray(result)) {
    if (!exchange.written && deliverArray(exchange, result)) return;
    await pump(exchange, result[Symbol.iterator]());
    return;
  }
  if (!exchange.written && WrappedFile.isUntouched(result)) {
    const part = await result.locate(exchange.bridge);
    if (part !== undefined) {
      exchange.file(part.fd, part.offset, part.length);
      return;
    }
  }
  await pump(exchange, iteratorOf(result), result);
}

function iteratorOf(result: unknown): AnyIterator {
  if (typeof result === 'string' || isBytes(result)) {
    throw new NwsgiTypeError(Problem.badResult, `the application returned ${typeof result === 'string' ? 'a string' : 'a Uint8Array'}; return an array: [body]`);
  }
  if (isObject(result)) {
    const asyncMethod = result[Symbol.asyncIterator];
    const method = typeof asyncMethod === 'function' ? asyncMethod : result[Symbol.iterator];
    if (typeof method === 'function') {
      const iterator: unknown = method.call(result);
      if (isObject(iterator)) return iterator as unknown as AnyIterator;
    }
  }
  throw new NwsgiTypeError(Problem.badResult, `the application returned ${show(result)}, which is not an iterable of blocks`);
}

/**
 * An array is complete: it is checked as a whole before anything is sent, its length is known, and if it is small one
 * call does it all. Returns false when it is to be delivered block by block.
 */
function deliverArray(exchange: WsgiExchange, blocks: readonly unknown[]): boolean {
  let total = 0;
  for (let i = 0; i < blocks.length; i++) {
    const block = blocks[i];
    if (typeof block === 'string') total += Buffer.byteLength(block);
    else if (isBytes(block)) total += block.byteLength;
    else throw badChunk(block);
  }
  // An empty answer to HEAD says nothing about the length of the answer to GET.
  const fits = exchange.contentLength < 0 || exchange.contentLength === total || exchange.isBodiless();
  if (exchange.head === '' || exchange.headSent || exchange.aborted || !fits || (total > ONE_CALL && blocks.length > 1)) {
    if (exchange.head !== '' && exchange.contentLength < 0 && !exchange.headSent) exchange.contentLength = total;
    return false;
  }
  exchange.respond(blocks.length === 1 ? (blocks[0] as Chunk) : joined(blocks as readonly Chunk[]), total);
  return true;
}

function joined(blocks: readonly Chunk[]): Chunk {
  if (blocks.every(isWholeText)) return blocks.join('');
  return Buffer.concat(blocks.map((block) => (typeof block === 'string' ? Buffer.from(block) : block)));
}

/** A text that ends within a surrogate pair must not be joined to another: each block stands for its own UTF-8 bytes. */
function isWholeText(block: Chunk): boolean {
  return typeof block === 'string' && (block.charCodeAt(block.length - 1) & 0xfc00) !== 0xd800;
}

/** Iterates as `for await` would, with back-pressure, until the end, an error, or until nobody needs more. */
async function pump(exchange: WsgiExchange, iterator: AnyIterator, owner?: unknown): Promise<void> {
  let finished = false;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= finished ? Promise.resolve() : stopIterator(exchange, iterator));
  exchange.onAbort = () => {
    // The application may be waiting for something that never comes: tell it now, not after its current step.
    if (owner instanceof Readable) owner.destroy();
    else void stop();
  };
  const share = new TurnShare();
  try {
    for (;;) {
      let step: IteratorResult<unknown> | undefined;
      try {
        const next = iterator.next();
        step = isThenable(next) ? await patiently(exchange, next) : next;
        if (step === undefined && exchange.aborted) break;
        if (!isObject(step)) throw new NwsgiTypeError(Problem.badResult, `next() of the response iterator returned ${show(step)}`);
      } catch (error) {
        finished = true;
        throw error;
      }
      if (step.done === true) {
        finished = true;
        break;
      }
      const flow = exchange.aborted ? Flow.Stop : exchange.block(step.value);
      if (flow === Flow.Stop) break;
      if (flow === Flow.Pause) {
        await exchange.writable();
        share.renew();
      } else if (share.usedUp()) {
        await nextTurn();
        share.renew();
      }
      if (exchange.aborted) break;
    }
    // The response is ended before the iterator's clean-up runs, which may take its time.
    exchange.complete();
  } finally {
    await patiently(exchange, stop());
    exchange.onAbort = undefined;
  }
}

/** As `for await`: an error of the body wins over one of return(), which is logged only. Never rejects. */
async function stopIterator(exchange: WsgiExchange, iterator: AnyIterator): Promise<void> {
  try {
    if (typeof iterator.return === 'function') await iterator.return();
  } catch (error) {
    logClose(exchange, error);
  }
}

function logClose(exchange: WsgiExchange, error: unknown): void {
  exchange.log(LogLevel.error, logText(Problem.closeFailed, exchange.where(), error));
}
