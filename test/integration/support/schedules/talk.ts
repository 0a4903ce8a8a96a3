/** What every conversation has: its connection, its random numbers, and notes of what it did for the report of a failure. */
import { RawClient, sleep, type HttpdServer, type RawResponse } from '../../harness/index.js';
import type { Random } from './random.js';
import { bodyPart, describeTask, headOf, problemOf, type Task } from './tasks.js';
import type { Timeline } from './timeline.js';

/** No answer takes that long: all that is told to applications is over within three seconds, on a busy machine. */
const LONGEST = 15_000;
/** KeepAliveTimeout of the server, in milliseconds. */
export const KEEP_ALIVE = 2000;

export class Wrong extends Error {}

/** The server closed an idle connection, as it may: the conversation is over. */
export class ClosedWhileIdle extends Error {}

export class Talk {
  readonly server: HttpdServer;
  readonly random: Random;
  readonly timeline: Timeline;
  readonly tls: boolean;
  readonly notes: string[] = [];
  readonly #name: string;
  /** The server has fewer threads than clients. */
  readonly #scarce: boolean;
  readonly #begin = performance.now();
  #requests = 0;
  #client: RawClient | undefined;
  /**
   * The connection cannot have been idle for longer than since then: when the last request but one was sent, or the connection made.
   * When its answer was complete, only the server knows: the client may have been slow to read it.
   */
  #idleSince = 0;
  #sentAt = 0;
  #answered = 0;
  #lastAnswer: RawResponse | undefined;

  constructor(server: HttpdServer, random: Random, timeline: Timeline, name: string, scarce: boolean) {
    this.#scarce = scarce;
    this.server = server;
    this.random = random;
    this.timeline = timeline;
    this.tls = random.chance(0.25);
    this.#name = name;
  }

  note(text: string): void {
    this.notes.push(`${(performance.now() - this.#begin).toFixed(0)} ms: ${text}`);
  }

  /** An id of its own for each request of the whole run. */
  id(): string {
    return `${this.#name}.${++this.#requests}`;
  }

  /** Of the client's side. */
  port: number | undefined;

  get client(): RawClient {
    if (this.#client === undefined) throw new Error('not connected');
    return this.#client;
  }

  async connect(): Promise<RawClient> {
    this.#client = await this.server.raw(this.tls ? 1 : 0);
    this.#idleSince = this.#sentAt = performance.now();
    this.port = this.#client.socket.localPort;
    this.note(`connected${this.tls ? ' with TLS' : ''}`);
    return this.#client;
  }

  async pause(milliseconds: number): Promise<void> {
    if (milliseconds > 0) await sleep(milliseconds);
  }

  /** Ends the connection in one of the ways in which clients do. */
  leave(): void {
    if (this.#client === undefined) return;
    const way = this.random.of(['close', 'reset'] as const);
    this.note(way);
    if (way === 'reset' && !this.tls) this.#client.reset();
    else this.#client.close();
  }

  /** The head and the whole body, in `pieces` with pauses between them. */
  async send(task: Task, { pieces = 1, gap = 0, more = [] as readonly string[] } = {}): Promise<void> {
    this.note(`asks for ${describeTask(task)}`);
    this.#sentAt = performance.now();
    if (pieces === 1) return this.bytes(Buffer.concat([Buffer.from(headOf(task, more)), ...(task.body === undefined ? [] : [bodyPart(task, 0, task.body)])]));
    await this.bytes(headOf(task, more));
    await this.sendBody(task, 0, task.body ?? 0, { pieces, gap });
  }

  /** A part of the body, in pieces. */
  async sendBody(task: Task, from: number, to: number, { pieces = 1, gap = 0 } = {}): Promise<void> {
    let at = from;
    for (const cut of this.random.cuts(to - from, pieces)) {
      await this.pause(gap);
      // The end of a chunked body goes with its last piece.
      if (from + cut > at || from + cut === task.body) await this.bytes(bodyPart(task, at, from + cut));
      at = from + cut;
      if (at === task.body) return;
    }
  }

  /** A server that has closed refuses bytes; what came of the request is seen when the answer is read. */
  async bytes(bytes: string | Uint8Array): Promise<void> {
    await this.client.send(bytes).catch((error: Error) => this.note(`sending failed: ${error.message}`));
  }

  /**
   * Reads the answer and checks it. `pipelined`: it was asked for before the last answer had come; `cut`: it may end too early;
   * `late`: the connection may have been idle for longer than it seems to the client.
   */
  async answer(task: Task, { pipelined = false, cut = false, late = false } = {}): Promise<RawResponse> {
    const { client } = this;
    let response: RawResponse;
    try {
      ({ response } = await client.readFinalResponse({ milliseconds: LONGEST }));
    } catch (error) {
      if (!client.ended) throw new Wrong(`HANGS: ${(error as Error).message}`);
      if (client.pending.length > 0) throw new Wrong(`ended inside of a head: ${(error as Error).message}`);
      this.note(`ended without an answer (${(error as Error).message})`);
      // A Node server that destroys its response before it has sent anything closes the connection.
      const destroyed = task.app === 'node' && task.end === 'throws';
      if (cut || destroyed || late || this.#mayEnd(pipelined)) throw new ClosedWhileIdle();
      throw new Wrong(`no answer, of request ${task.id}`);
    }
    this.note(`${response.status}, ${response.body.length} bytes, ${response.complete ? 'complete' : 'incomplete'}${this.closes(response) ? ', closes' : ''}`);
    const problem = problemOf(task, response, { cut });
    if (problem !== undefined) throw new Wrong(`${problem}, of request ${task.id}`);
    this.#answered += 1;
    this.#lastAnswer = response;
    this.#idleSince = this.#sentAt;
    return response;
  }

  /** No byte of an answer has come: whether HTTP allows that of a server. */
  #mayEnd(pipelined: boolean): boolean {
    // The last answer has said that it is the last one.
    if (this.#lastAnswer !== undefined && this.closes(this.#lastAnswer)) return true;
    const idleFor = performance.now() - this.#idleSince;
    // The time has run out while the request was on its way. A server that stops closes what is idle; with TLS a new connection,
    // too, because it is idle after the handshake.
    if (this.#answered > 0 && !pipelined && idleFor > KEEP_ALIVE * 0.7) return true;
    // The event MPM closes its idle connections when all of its threads are busy.
    if (this.#answered > 0 && !pipelined && this.#scarce) return true;
    return (this.#answered > 0 || this.tls) && this.timeline.restartedSince(this.#idleSince);
  }

  /** The connection ends with this answer. */
  closes(response: RawResponse): boolean {
    return !response.complete || response.framing === 'close' || /close/i.test(response.header('connection') ?? '');
  }

  /** After the last answer: the server closes, and nothing more comes. */
  async expectEnd(): Promise<void> {
    try {
      await this.client.waitForEnd(LONGEST);
    } catch {
      throw new Wrong('HANGS: the connection does not end');
    }
    if (this.client.pending.length > 0) throw new Wrong(`bytes after the last answer: ${JSON.stringify(this.client.pending.subarray(0, 100).toString('latin1'))}`);
  }
}
