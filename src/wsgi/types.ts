/** The types that application authors see. PEP 3333 is the model; section numbers below refer to it. */
import type { Readable } from 'node:stream';

/** A response header. Strings may contain code units up to U+00FF only. */
export type Header = readonly [name: string, value: string];

/** One block of a response body. A string stands for its UTF-8 bytes. */
export type Chunk = Uint8Array | string;

/** `write` as returned by {@link StartResponse}: a promise means that the caller should wait before it writes more. */
export type Write = (data: Chunk) => void | Promise<void>;

/**
 * Announces the status and the headers of the response (PEP 3333, "The start_response() Callable").
 *
 * @param status  e.g. `"200 OK"`: three digits, a space, a reason (latin-1, no control characters).
 * @param headers an array of `[name, value]` arrays. The gateway copies it.
 * @param excInfo the error that made the application replace an earlier answer. Nothing sent yet: status and headers
 *                are replaced. Otherwise it is thrown again.
 * @throws TypeError with a code NWSGI22nn for anything that is not a valid HTTP response head.
 */
export type StartResponse = (status: string, headers: readonly Header[], excInfo?: unknown) => Write;

/** Something the body of a response can be read from; closed by calling `close` or the iterator's `return`. */
export type WsgiBody = (Iterable<Chunk> | AsyncIterable<Chunk>) & { close?(): unknown };

/** What a callable returns: an array, any iterable or async iterable (a `Readable` is one), or a promise of them. */
export type WsgiResult = WsgiBody | PromiseLike<WsgiBody>;

/** The application callable (PEP 3333, "The Application/Framework Side"). */
export type WsgiApplication = (environ: Environ, startResponse: StartResponse) => WsgiResult;

/** The request body (`wsgi.input`). Concurrent calls run one after the other. */
export interface InputStream {
  /** At most `size` bytes, fewer only at the end of the body; without a size, or below 0, all that is left. */
  read(size?: number): Promise<Buffer>;
  /** One line with its `\n`, at most `size` bytes of it; empty at the end. */
  readline(size?: number): Promise<Buffer>;
  /** The remaining lines; stops after the line that reaches `hint` bytes. */
  readlines(hint?: number): Promise<Buffer[]>;
  /** Lines, as Python's `wsgi.input` gives them. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer>;
  /** Blocks as they arrive from the client. */
  chunks(): AsyncIterableIterator<Buffer>;
  /** A Node stream of what is left. */
  toReadable(): Readable;
  /** Does nothing; the gateway owns the stream. */
  close(): void;
}

/** The error log of the request (`wsgi.errors`). Whole lines reach the log at once. */
export interface ErrorStream {
  write(text: string): void;
  writelines(lines: Iterable<string>): void;
  flush(): void;
}

/** Anything that has a `read(size)` which returns bytes, or a promise of them, and an empty block at the end. */
export interface FileLike {
  read(size: number): Uint8Array | string | null | undefined | PromiseLike<Uint8Array | string | null | undefined>;
  close?(): unknown;
}

/** A file that may be transmitted without passing through JavaScript: `fs.promises` handle. */
export interface FileHandleLike {
  readonly fd: number;
  read(buffer: Uint8Array, offset: number, length: number, position: number | null): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

export type FileSource = FileLike | FileHandleLike | Readable | Iterable<Chunk> | AsyncIterable<Chunk> | number;

/** `wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling"). */
export type FileWrapper = (source: FileSource, blockSize?: number) => AsyncIterable<Chunk> & { close(): unknown };

/**
 * The request (PEP 3333, "environ Variables"): a fresh plain object without a prototype. String values are latin-1:
 * one code unit for each byte that the client sent. See `pathInfo()` for the decoded path.
 */
export interface Environ {
  REQUEST_METHOD: string;
  SCRIPT_NAME: string;
  PATH_INFO: string;
  QUERY_STRING: string;
  SERVER_NAME: string;
  SERVER_PORT: string;
  SERVER_PROTOCOL: string;
  SCRIPT_FILENAME: string;
  REQUEST_URI: string;
  CONTENT_TYPE?: string;
  CONTENT_LENGTH?: string;
  REMOTE_ADDR?: string;
  REMOTE_USER?: string;
  'wsgi.version': readonly [1, 0];
  'wsgi.url_scheme': string;
  'wsgi.input': InputStream;
  'wsgi.errors': ErrorStream;
  'wsgi.multithread': boolean;
  'wsgi.multiprocess': boolean;
  'wsgi.run_once': boolean;
  'wsgi.input_terminated': boolean;
  'wsgi.file_wrapper': FileWrapper;
  /** Sends "103 Early Hints"; without effect once the response has begun and for HTTP/1.0. */
  'wsgi.early_hints': (headers: readonly Header[]) => void;
  /** Other requests run while this one awaits something. */
  'nwsgi.interleaved': boolean;
  'nwsgi.version': string;
  /** Aborted when the client leaves, the request times out or the server stops. */
  'nwsgi.signal': AbortSignal;
  [key: string]: unknown;
}
