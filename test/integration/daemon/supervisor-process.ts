/** A supervisor in a process of its own, as httpd's parent starts it, and the child's side of its hello socket. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { ANY_SLOT, HELLO_MAGIC } from '../../../src/supervisor/hello.js';
import { waitFor, within } from '../harness/wait.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
export const standIns = join(root, 'test/fixtures/supervisor');
const LIFELINE = 6;
/** Another Node for supervisor and workers than that of the tests. */
const node = process.env.NWSGI_TEST_NODE ?? process.execPath;

export interface Answer {
  status: number;
  slot: number;
  generation: number;
  pid: number;
  httpStatus: number;
  retryAfter: number;
  code: string;
  message: string;
}

/** A connection that was answered; it speaks with the stand-in of a worker. */
export class Connection {
  readonly answer: Answer;
  readonly socket: Socket;

  constructor(socket: Socket, answer: Answer) {
    this.socket = socket;
    this.answer = answer;
  }

  /** The answer to one line; undefined when the connection ends instead. */
  async ask(line: string): Promise<string | undefined> {
    this.socket.write(`${line}\n`);
    return within(10_000, `the answer to ${line}`, new Promise((resolve) => {
      this.socket.once('data', (data: Buffer) => resolve(data.toString().trim()));
      this.socket.once('close', () => resolve(undefined));
    }));
  }

  close(): void {
    this.socket.destroy();
  }
}

export class SupervisorProcess {
  readonly folder = mkdtempSync(join(tmpdir(), 'nwsgi-supervisor-'));
  readonly script = join(this.folder, 'application.cjs');
  #process!: ChildProcess;
  #log = '';
  #connections: Socket[] = [];
  #seen = new Set<number>();

  /** Starts it with stand-ins for workers that run `application`, the text of a module. `closed`: its error log is gone. */
  async start(application: string, config: Record<string, unknown> = {}, closed = false): Promise<this> {
    this.write(application);
    const listener = createServer();
    listener.listen(join(this.folder, 'made.sock'));
    await once(listener, 'listening');
    const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
    // The stand-in of the addon looks at no file.
    const memory = openSync('/dev/null', 'r');
    const child = spawn(node, ['--max-semi-space-size=1', join(root, 'dist/supervisor/main.js'), '--config-fd', '3'], {
      stdio: ['ignore', 'inherit', 'pipe', 'pipe', fd, memory, 'pipe'],
      env: { ...process.env, STAND_IN: this.script },
    });
    closeSync(memory);
    this.#process = child;
    if (closed) child.stderr?.destroy();
    else child.stderr?.on('data', (data: Buffer) => (this.#log += data.toString()));
    (child.stdio[3] as Writable).end(JSON.stringify({
      name: 'group', serverSoftware: 'test', gatewayDirectory: standIns, bridge: join(standIns, 'bridge.cjs'), node,
      helloFd: 4, scoreboardFd: 5, lifelineFd: LIFELINE, logLevel: 7, threads: 1_000_000, gracefulTimeout: 2_000, shutdownTimeout: 500, ...config,
    }));
    // Only the supervisor accepts. Closing removes the file of the name under which it was made.
    renameSync(join(this.folder, 'made.sock'), join(this.folder, 'hello.sock'));
    listener.close();
    return this;
  }

  write(application: string): void {
    writeFileSync(this.script, application);
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  get log(): string {
    return this.#log;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  closeLifeline(): void {
    (this.#process.stdio[LIFELINE as number] as unknown as Writable).destroy();
  }

  /** Exit code, or name of the signal. */
  async ended(): Promise<number | string | null> {
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode;
    const [code, signal] = (await within(8_000, 'the end of the supervisor', once(this.#process, 'exit'))) as [number | null, string | null];
    return code ?? signal;
  }

  async logged(pattern: RegExp, times = 1): Promise<string> {
    const all = new RegExp(pattern.source, 'g');
    const found = (): string | undefined => this.#log.match(all)?.[times - 1];
    await waitFor(`${times} × ${pattern}`, found).catch((error: Error) => {
      throw new Error(`${error.message} in the log:\n${this.#log}`);
    });
    return found() as string;
  }

  /** Says hello for a request. */
  async hello(applicationGroup = 'a', slot = ANY_SLOT, generation = 0): Promise<Connection> {
    const socket = connect(join(this.folder, 'hello.sock'));
    this.#connections.push(socket);
    socket.on('error', () => undefined);
    const name = Buffer.from(applicationGroup);
    const head = Buffer.alloc(20);
    [HELLO_MAGIC, slot, generation, name.length, 0].forEach((value, i) => head.writeUInt32LE(value, i * 4));
    socket.write(Buffer.concat([head, name]));
    const connection = new Connection(socket, parseAnswer(await readAnswer(socket)));
    if (connection.answer.pid > 0) this.#seen.add(connection.answer.pid);
    return connection;
  }

  /** Processes that it has started and that are still there. */
  workers(): number[] {
    return childrenOf(this.pid);
  }

  /** Waits until it has exactly so many workers. */
  async settled(count: number): Promise<number[]> {
    return waitFor(`${count} workers, there are ${this.workers()}\n${this.#log}`, () => {
      const pids = this.workers();
      return pids.length === count ? pids : undefined;
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    const workers = this.#process.exitCode === null && this.#process.signalCode === null ? this.workers() : [];
    this.#process.kill('SIGKILL');
    await this.ended();
    for (const pid of new Set([...workers, ...this.#seen])) {
      await waitFor(`the end of worker ${pid}`, () => !isAlive(pid)).catch((error: unknown) => {
        process.kill(pid, 'SIGKILL');
        throw error;
      });
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number).filter(isAlive);
  } catch {
    return [];
  }
}

/** Zombies are not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

async function readAnswer(socket: Socket): Promise<Buffer> {
  return within(8_000, 'an answer to hello', new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < 36 || bytes.length < 36 + bytes.readUInt32LE(28) + bytes.readUInt32LE(32)) return;
      socket.off('data', onData);
      resolve(bytes);
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error('the connection was closed without an answer')));
  }));
}

function parseAnswer(bytes: Buffer): Answer {
  const [magic, status = 0, slot = 0, generation = 0, pid = 0, httpStatus = 0, retryAfter = 0, codeLength = 0] = Array.from({ length: 9 }, (_, i) => bytes.readUInt32LE(i * 4));
  if (magic !== HELLO_MAGIC) throw new Error(`no answer: ${bytes.toString('hex')}`);
  return { status, slot, generation, pid, httpStatus, retryAfter, code: bytes.toString('utf8', 36, 36 + codeLength), message: bytes.toString('utf8', 36 + codeLength) };
}
