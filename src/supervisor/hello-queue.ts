/**
 * The connections of children that wait for a worker of one pool, and those on their way to one. Every connection that
 * comes in is answered, unless its child leaves first.
 */
import { acceptance } from './hello.js';
import type { Refusal } from './hello.js';
import type { HelloConnection } from './hello-server.js';
import { tooManyWait } from './refusals.js';
import type { Scoreboard } from './scoreboard.js';
import type { WorkerProcess } from './worker-process.js';

/** All serving workers are full: how often to look for a place. Children that find none wait on the scoreboard instead. */
const LOOK_AGAIN = 20;

export interface HelloSource {
  readonly applicationGroup: string;
  readonly scoreboard: Scoreboard;
  readonly threads: number;
  readonly limit: number;
  serving(): WorkerProcess[];
  /** Why no worker will serve soon; undefined: one will. */
  refusal(): Refusal | undefined;
}

export class HelloQueue {
  readonly #source: HelloSource;
  readonly #waiting = new Set<HelloConnection>();
  readonly #underWay = new Map<WorkerProcess, Set<HelloConnection>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(source: HelloSource) {
    this.#source = source;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Finds it a worker, or has it wait, or refuses it. */
  take(connection: HelloConnection): void {
    if (connection.closed) return;
    if (this.#place(connection)) return;
    const refusal = this.#source.refusal() ?? (this.#waiting.size >= this.#source.limit ? tooManyWait(this.#source.applicationGroup) : undefined);
    if (refusal !== undefined) return connection.refuse(refusal);
    this.#waiting.add(connection);
    connection.onClose = () => this.#waiting.delete(connection);
    this.#lookAgain();
  }

  /** A worker is ready, or a place in one is free. */
  flush(): void {
    for (const connection of this.#waiting) {
      if (!this.#place(connection)) break;
      this.#waiting.delete(connection);
    }
    this.#lookAgain();
  }

  refuseAll(refusal: Refusal): void {
    for (const connection of this.#waiting) connection.refuse(refusal);
    this.#waiting.clear();
  }

  /** What had not reached this worker finds another one. */
  onEnd(worker: WorkerProcess): void {
    const lost = this.#underWay.get(worker);
    this.#underWay.delete(worker);
    // Its claim has gone with the worker.
    for (const connection of lost ?? []) this.take(connection.forAnyWorker());
  }

  /** True when it needs no place any more. */
  #place(connection: HelloConnection): boolean {
    if (connection.closed) return true;
    const { slot, generation } = connection.hello;
    const serving = this.#source.serving();
    const named = serving.find((worker) => worker.slot === slot && worker.generation === generation);
    if (named !== undefined) {
      this.#handOver(connection, named);
      return true;
    }
    const { scoreboard, threads } = this.#source;
    let best: WorkerProcess | undefined;
    let least = threads;
    for (const worker of serving) {
      const claims = scoreboard.claims(worker.slot);
      if (claims < least) [best, least] = [worker, claims];
    }
    if (best === undefined) return false;
    scoreboard.claim(best.slot);
    this.#handOver(connection, best);
    return true;
  }

  #handOver(connection: HelloConnection, worker: WorkerProcess): void {
    let connections = this.#underWay.get(worker);
    if (connections === undefined) this.#underWay.set(worker, (connections = new Set()));
    connections.add(connection);
    worker.handOver(connection.release(), (error) => {
      // Without an entry its worker has ended, and it was taken care of there; so it will be after an error.
      if (error === null && connections?.delete(connection) === true) connection.accept(acceptance(worker.slot, worker.generation, worker.pid));
    });
  }

  #lookAgain(): void {
    if (this.#timer !== undefined || this.#waiting.size === 0 || this.#source.serving().length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.flush();
    }, LOOK_AGAIN);
  }
}
