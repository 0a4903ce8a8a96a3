/**
 * `wsgi.file_wrapper` (W-117…W-124). As an iterable it reads the source block by block; a response that consists of
 * the unmodified wrapper around a real file is handed to the server as a file instead.
 */
import { read as readFd, ReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { NwsgiTypeError, Problem } from '../errors.js';
import { show } from '../show.js';
import type { NativeBridge } from '../native.js';
import type { Chunk, FileHandleLike, FileSource } from './types.js';

const BLOCK_SIZE = 64 * 1024;
const readDescriptor = promisify(readFd);

/** A part of an open file. `offset` -1: from the descriptor's current position. */
export interface FilePart {
  fd: number;
  offset: number;
  length: number;
}

type Indexed = Record<PropertyKey, unknown>;

function isObject(value: unknown): value is Indexed {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isFileHandle(source: unknown): source is FileHandleLike {
  return isObject(source) && typeof source.fd === 'number' && typeof source.readv === 'function' && typeof source.datasync === 'function';
}

function isDescriptor(source: unknown): source is number {
  return typeof source === 'number' && Number.isInteger(source) && source >= 0;
}

function isIterable(source: unknown): source is Iterable<Chunk> | AsyncIterable<Chunk> {
  return isObject(source) && (typeof source[Symbol.asyncIterator] === 'function' || typeof source[Symbol.iterator] === 'function');
}

export class WrappedFile implements AsyncIterable<Chunk> {
  readonly #source: FileSource;
  readonly #blockSize: number;
  #used = false;

  constructor(source: FileSource, blockSize: number) {
    this.#source = source;
    this.#blockSize = blockSize;
  }

  /** True for a wrapper made here that was not iterated: only such a one may be replaced by its file (W-122). */
  static isUntouched(value: unknown): value is WrappedFile {
    return typeof value === 'object' && value !== null && #used in value && !value.#used;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, undefined> {
    this.#used = true;
    const source = this.#source;
    if (isDescriptor(source)) {
      yield* this.#blocks((buffer) => readDescriptor(source, buffer, 0, buffer.length, null));
    } else if (isFileHandle(source)) {
      yield* this.#blocks((buffer) => source.read(buffer, 0, buffer.length, null));
    } else if (source instanceof Readable || !('read' in source && typeof source.read === 'function')) {
      yield* source as AsyncIterable<Chunk>;
    } else {
      for (;;) {
        const block = await source.read(this.#blockSize);
        if (block === undefined || block === null || block.length === 0) return;
        yield block;
      }
    }
  }

  /** Closes the source, if it can be closed now (W-119: the property is looked up at this moment). */
  async close(): Promise<void> {
    const source: unknown = this.#source;
    if (source instanceof Readable) source.destroy();
    else if (isObject(source) && typeof source.close === 'function') await (source as { close(): unknown }).close();
  }

  /** The file behind the wrapper and the part of it that is to be sent; undefined when it has to be read instead. */
  async locate(bridge: NativeBridge): Promise<FilePart | undefined> {
    const source = this.#source;
    let fd: number;
    let start = -1;
    let end = Infinity;
    if (isDescriptor(source)) {
      fd = source;
    } else if (isFileHandle(source)) {
      fd = source.fd;
    } else if (source instanceof ReadStream && source.bytesRead === 0 && source.readableEncoding === null) {
      const options = source as unknown as { fd: number | null; start?: number; end?: number };
      if (typeof options.fd !== 'number') await opened(source);
      if (typeof options.fd !== 'number' || source.bytesRead !== 0) return undefined;
      fd = options.fd;
      start = options.start ?? -1;
      end = options.end ?? Infinity;
    } else {
      return undefined;
    }
    const info = bridge.fileInfo(fd);
    if (info === null) return undefined;
    const offset = start < 0 ? info.position : start;
    return { fd, offset, length: Math.max(0, Math.min(info.size, end + 1) - offset) };
  }

  async *#blocks(read: (buffer: Buffer) => Promise<{ bytesRead: number }>): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const buffer = Buffer.allocUnsafe(this.#blockSize);
      const { bytesRead } = await read(buffer);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  }
}

function opened(stream: ReadStream): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once('open', () => resolve());
    stream.once('error', reject);
  });
}

/**
 * The value of `environ['wsgi.file_wrapper']`.
 *
 * @throws NwsgiTypeError NWSGI2215 for a source that cannot be read
 */
export function fileWrapper(source: FileSource, blockSize: number = BLOCK_SIZE): WrappedFile {
  const readable = isDescriptor(source) || isFileHandle(source) || isIterable(source) || (isObject(source) && typeof (source as Indexed).read === 'function');
  if (!readable) throw new NwsgiTypeError(Problem.badFile, `wsgi.file_wrapper cannot read ${show(source)}`);
  if (!Number.isInteger(blockSize) || blockSize <= 0) throw new NwsgiTypeError(Problem.badFile, `the block size must be a positive integer, not ${show(blockSize)}`);
  return new WrappedFile(source, blockSize);
}
