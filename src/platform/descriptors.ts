/**
 * What is written to descriptors 1 and 2 goes to the log. Loggers (pino, which is Fastify's) write there past `process.stdout`,
 * and in a server descriptor 1 leads to /dev/null.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** Takes what was written to a descriptor. */
export type Print = (text: string) => void;

type Data = string | NodeJS.ArrayBufferView;
type Callback = (error: null, written: number, data: unknown) => void;
type Method = (fd: number, ...rest: unknown[]) => unknown;

export function printDescriptors(prints: ReadonlyMap<number, Print>): void {
  /** Number of bytes that were printed; undefined for other descriptors, and for arguments that Node shall complain about. */
  const print = (fd: number, pieces: unknown, rest: readonly unknown[]): number | undefined => {
    const to = prints.get(fd);
    if (to === undefined || !Array.isArray(pieces) || !pieces.every(isData)) return undefined;
    const bytes = Buffer.concat(pieces.map((piece) => bytesOf(piece, rest)));
    to(bytes.toString());
    return bytes.length;
  };
  replace('writeSync', (original) => (fd, data, ...rest) => print(fd, [data], rest) ?? original(fd, data, ...rest));
  replace('writevSync', (original) => (fd, list, ...rest) => print(fd, list, []) ?? original(fd, list, ...rest));
  replace('write', (original) => (fd, data, ...rest) => later(print(fd, [data], rest), data, rest) ?? original(fd, data, ...rest));
  replace('writev', (original) => (fd, list, ...rest) => later(print(fd, list, []), list, rest) ?? original(fd, list, ...rest));
  syncBuiltinESMExports();
}

function replace(name: 'write' | 'writeSync' | 'writev' | 'writevSync', make: (original: Method) => Method): void {
  const original = fs[name] as Method;
  // Also what util.promisify() looks for.
  const replacement = Object.defineProperties(make(original), Object.getOwnPropertyDescriptors(original));
  Object.defineProperty(fs, name, { value: replacement, configurable: true, enumerable: true, writable: true });
}

/** True when it was printed: then the callback, the last argument, is told so. */
function later(written: number | undefined, data: unknown, rest: readonly unknown[]): true | undefined {
  const done = rest.at(-1);
  if (written === undefined) return undefined;
  if (typeof done === 'function') process.nextTick(done as Callback, null, written, data);
  return true;
}

function isData(value: unknown): value is Data {
  return typeof value === 'string' || ArrayBuffer.isView(value);
}

/** `rest` is `[position, encoding]` for a text; for bytes `[offset, length, position]`, or an object of them. */
function bytesOf(data: Data, rest: readonly unknown[]): Buffer {
  if (typeof data === 'string') return Buffer.from(data, rest.find((value) => typeof value === 'string') as BufferEncoding | undefined);
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const named = rest[0] as { offset?: number; length?: number } | null | undefined;
  const [offset, length] = typeof named === 'object' && named !== null ? [named.offset, named.length] : rest;
  const start = typeof offset === 'number' ? offset : 0;
  return typeof length === 'number' ? bytes.subarray(start, start + length) : bytes.subarray(start);
}
