/** Accepts the connections of children on the inherited hello socket, reads what they want, and gives them away. */
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { parseHello, refusal } from './hello.js';
import type { Hello, Refusal } from './hello.js';
import { ANY_SLOT } from './hello.js';
import { LogLevel } from './log.js';
import type { Log } from './log.js';
import { Code } from './problems.js';
import type { ConnectionHandle } from './worker-process.js';

/** A hello is one short message. */
const FOR_HELLO = 10_000;
const BACKLOG = 1024;

/** The part of Node's handles that is used here; the same in all versions since 10. */
interface Handle {
  readStop(): void;
}

export class HelloConnection {
  hello: Hello;
  /** Called when the child has gone while its connection waits. */
  onClose: (() => void) | undefined;
  readonly #socket: Socket;

  constructor(socket: Socket, hello: Hello) {
    this.#socket = socket;
    this.hello = hello;
    socket.once('close', () => this.onClose?.());
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  /** The named worker is gone. */
  forAnyWorker(): this {
    this.hello = { ...this.hello, slot: ANY_SLOT, generation: 0 };
    return this;
  }

  /** From now on nothing of it is read here. Not for a closed one. */
  release(): ConnectionHandle {
    this.onClose = undefined;
    const handle = (this.#socket as unknown as { _handle: Handle })._handle;
    handle.readStop();
    return handle;
  }

  /** The worker has it. The child speaks only after this answer. */
  accept(answer: Buffer): void {
    this.#socket.write(answer, () => this.#socket.destroy());
  }

  refuse(why: Refusal): void {
    this.onClose = undefined;
    if (!this.#socket.destroyed) this.#socket.end(refusal(why), () => this.#socket.destroy());
  }
}

/** Listens on the descriptor until the process ends; `onHello` gets every complete hello. */
export function acceptHellos(fd: number, log: Log, onHello: (connection: HelloConnection) => void): Server {
  const server = createServer({ allowHalfOpen: false }, (socket) => readHello(socket, log, onHello));
  server.on('error', (error) => log.write(LogLevel.error, `${Code.fault} The hello socket failed: ${error.message}`));
  server.listen({ fd } as never, BACKLOG as never);
  return server;
}

function readHello(socket: Socket, log: Log, onHello: (connection: HelloConnection) => void): void {
  let bytes: Buffer | undefined;
  let complete = false;
  socket.setTimeout(FOR_HELLO, () => socket.destroy());
  socket.on('error', () => undefined); // the child has gone; 'close' follows
  socket.on('data', (chunk) => {
    try {
      if (complete) throw new Error(`${chunk.length} bytes follow it before its answer`);
      bytes = bytes === undefined ? chunk : Buffer.concat([bytes, chunk]);
      const hello = parseHello(bytes);
      if (hello === undefined) return;
      complete = true;
      socket.setTimeout(0);
      onHello(new HelloConnection(socket, hello));
    } catch (error) {
      log.write(LogLevel.warning, `${Code.badHello} A connection to the hello socket was refused: ${(error as Error).message}`);
      socket.destroy();
    }
  });
}
