/**
 * The hello of a child of httpd: what it asks on a fresh connection, and what it is answered. Numbers are in host byte order
 * (native/exchange/fastcgi.h); afterwards the connection belongs to a worker and carries FastCGI.
 */

export const HELLO_MAGIC = 0x4e574831;
/** In place of a slot: any worker of the group. */
export const ANY_SLOT = 0xffffffff;
const REQUEST_HEAD = 20;
const LONGEST_NAME = 4096;
const LONGEST_BLOB = 64 * 1024;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

export interface Hello {
  slot: number;
  generation: number;
  /** Application group, as bytes: latin-1 text has them all. */
  name: Buffer;
}

export interface Refusal {
  status: number;
  /** Seconds; 0: not said. */
  retryAfter: number;
  code: string;
  message: string;
}

/**
 * Takes a hello apart; undefined while it is not complete.
 *
 * @throws Error for what is no hello.
 */
export function parseHello(bytes: Buffer): Hello | undefined {
  if (bytes.length < REQUEST_HEAD) return undefined;
  const [magic, slot, generation, nameLength, blobLength] = [0, 4, 8, 12, 16].map((at) => read(bytes, at)) as [number, number, number, number, number];
  if (magic !== HELLO_MAGIC) throw new Error(`it begins with ${bytes.toString('hex', 0, 4)}`);
  if (nameLength > LONGEST_NAME || blobLength > LONGEST_BLOB) throw new Error(`lengths of ${nameLength} and ${blobLength} bytes`);
  const end = REQUEST_HEAD + nameLength + blobLength;
  if (bytes.length < end) return undefined;
  if (bytes.length > end) throw new Error(`${bytes.length - end} bytes follow it before its answer`);
  return { slot, generation, name: bytes.subarray(REQUEST_HEAD, REQUEST_HEAD + nameLength) };
}

export function acceptance(slot: number, generation: number, pid: number): Buffer {
  return reply(0, slot, generation, pid, { status: 0, retryAfter: 0, code: '', message: '' });
}

export function refusal(why: Refusal): Buffer {
  return reply(1, ANY_SLOT, 0, 0, why);
}

function reply(status: number, slot: number, generation: number, pid: number, why: Refusal): Buffer {
  const code = Buffer.from(why.code);
  const message = Buffer.from(why.message);
  const head = Buffer.alloc(36);
  [HELLO_MAGIC, status, slot, generation, pid, why.status, why.retryAfter, code.length, message.length].forEach((value, i) => write(head, value, i * 4));
  return Buffer.concat([head, code, message]);
}

const read = (bytes: Buffer, at: number): number => (LITTLE_ENDIAN ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
const write = (bytes: Buffer, value: number, at: number): number => (LITTLE_ENDIAN ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at));
