/** Takes the body of a request from the bridge, only when somebody asks for it. One reader for each request. */
import { NwsgiError, Problem } from './errors.js';
import { OVER, ReadEnd, ReadError, ReadPending } from './native.js';
import type { NativeBridge } from './native.js';
import { countStreamed } from './streamed-memory.js';

/** What reading needs of the request. */
export interface BodyPort {
  readonly bridge: NativeBridge;
  readonly handle: number;
  readonly hasBody: boolean;
  readonly over: boolean;
  readonly aborted: boolean;
  onBody: (() => void) | undefined;
  abortError(): Error;
}

/** What is asked for at a time when all is wanted. */
export const BLOCK = 64 * 1024;

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export class BodyReader {
  readonly #port: BodyPort;
  #ended: boolean;
  #error: Error | undefined;

  constructor(port: BodyPort) {
    this.#port = port;
    this.#ended = !port.hasBody;
  }

  /** At most `most` new bytes, at least one; undefined at the end. A call has to wait for the one before it. */
  async next(most: number): Promise<Buffer | undefined> {
    const port = this.#port;
    if (this.#error !== undefined) throw this.#error;
    while (!this.#ended) {
      if (port.over) throw new NwsgiError(Problem.tooLate, 'the request body was read after the response had ended');
      const got = port.bridge.read(port.handle, most);
      if (typeof got !== 'number') {
        if (got.byteLength > 0) {
          countStreamed(got.byteLength);
          return asBuffer(got);
        }
      } else if (got === ReadEnd) {
        this.#ended = true;
      } else if (got === ReadPending && !port.aborted) {
        await new Promise<void>((resolve) => {
          port.onBody = resolve;
        });
        port.onBody = undefined;
      } else {
        throw this.#failed(got);
      }
    }
    return undefined;
  }

  /** Everything that is still to come. */
  async rest(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const chunk = await this.next(BLOCK);
      if (chunk === undefined) break;
      parts.push(chunk);
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  #failed(got: number): Error {
    const port = this.#port;
    const text = got === ReadError ? port.bridge.bodyError(port.handle) : '';
    const gone = got === OVER || got === ReadPending || (port.aborted && text === '');
    this.#error = gone ? port.abortError() : new NwsgiError(Problem.inputFailed, text || 'the request body could not be read');
    return this.#error;
  }
}
