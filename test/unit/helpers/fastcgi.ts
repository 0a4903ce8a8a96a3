/** A FastCGI client for tests: one connection, records in and out. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { encodeRecord } from '../../../src/record.js';

export const Type = {
  begin: 1, abort: 2, end: 3, params: 4, stdin: 5, stdout: 6, stderr: 7, getValues: 9, getValuesResult: 10, unknown: 11,
  head: 64, interim: 65, upgrade: 66, trailers: 67, log: 68, file: 69, wantBody: 70, failure: 71, tunnel: 74,
} as const;

export interface FcgiRecord {
  type: number;
  id: number;
  content: Buffer;
}

export interface Answer {
  stdout: string;
  stderr: string;
  types: number[];
  /** appStatus of END_REQUEST; undefined when the connection ended without one. */
  appStatus: number | undefined;
  protocolStatus: number | undefined;
}

export function record(type: number, id: number, content: string | Buffer = ''): Buffer {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content, 'latin1');
  return Buffer.concat([Buffer.from([1, type, id >> 8, id & 255, bytes.length >> 8, bytes.length & 255, 0, 0]), bytes]);
}

function stream(type: number, id: number, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 65528) pieces.push(record(type, id, bytes.subarray(at, at + 65528)));
  return pieces;
}

export function request(id: number, pairs: readonly (readonly [string, string])[], body?: string | Buffer, flags = 1): Buffer {
  return Buffer.concat([
    record(Type.begin, id, Buffer.from([0, 1, flags, 0, 0, 0, 0, 0])),
    ...stream(Type.params, id, Buffer.from(encodeRecord(pairs), 'latin1')),
    record(Type.params, id),
    ...(body === undefined ? [] : stream(Type.stdin, id, Buffer.isBuffer(body) ? body : Buffer.from(body))),
    record(Type.stdin, id),
  ]);
}

export const EXTENDED = 1 | 0x80;
export const HAS_BODY = 0x40;

export class FastCgiClient {
  readonly socket: Socket;
  ended = false;
  #bytes = Buffer.alloc(0);
  #records: FcgiRecord[] = [];
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#take();
      this.#wake();
    });
    const end = (): void => {
      this.ended = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  static async open(path: string): Promise<FastCgiClient> {
    const socket = connect({ path, allowHalfOpen: true });
    await once(socket, 'connect');
    return new FastCgiClient(socket);
  }

  send(...pieces: Buffer[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  close(): void {
    this.socket.destroy();
  }

  #take(): void {
    while (this.#bytes.length >= 8) {
      const length = this.#bytes.readUInt16BE(4);
      const size = 8 + length + (this.#bytes[6] as number);
      if (this.#bytes.length < size) return;
      this.#records.push({ type: this.#bytes[1] as number, id: this.#bytes.readUInt16BE(2), content: this.#bytes.subarray(8, 8 + length) });
      this.#bytes = this.#bytes.subarray(size);
    }
  }

  /** The next record; undefined at the end of the connection. */
  async next(): Promise<FcgiRecord | undefined> {
    while (this.#records.length === 0 && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#records.shift();
  }

  /** Everything up to END_REQUEST, or to the end of the connection. */
  async answer(): Promise<Answer> {
    const answer: Answer = { stdout: '', stderr: '', types: [], appStatus: undefined, protocolStatus: undefined };
    const out: Buffer[] = [];
    for (let next = await this.next(); next !== undefined; next = await this.next()) {
      answer.types.push(next.type);
      if (next.type === Type.stdout) out.push(next.content);
      if (next.type === Type.stderr) answer.stderr += next.content.toString();
      if (next.type === Type.end) {
        answer.appStatus = next.content.readUInt32BE(0);
        answer.protocolStatus = next.content[4];
        break;
      }
    }
    answer.stdout = Buffer.concat(out).toString('latin1');
    return answer;
  }
}
