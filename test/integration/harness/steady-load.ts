/**
 * Requests without pause over several connections, while something else happens to the server.
 *
 * A request may be repeated once only: when it went out on a connection that had served before and that was closed
 * before any byte of the answer (HTTP allows a server to do that). Everything else that is no 200 with the expected
 * body is counted as lost.
 */
import http from 'node:http';

export interface SteadyLoadOptions {
  /** Connections that are kept: 3. */
  kept?: number;
  /** Loops that use a new connection for each request: 1. */
  fresh?: number;
  /** Why a body is not the expected one; undefined when it is. */
  check?: (body: string) => string | undefined;
  /** Milliseconds between two requests of one loop: 0. */
  pause?: number;
}

export interface SteadyLoadResult {
  requests: number;
  /** Repeated because a kept connection was closed while idle. */
  repeated: number;
  /** One line for each request that was lost. */
  lost: string[];
  /** Longest time to a complete answer, in milliseconds. */
  slowest: number;
  /** How often each body came. */
  bodies: Map<string, number>;
}

/** The connection ended as the rules allow it for one that was idle. */
class ClosedWhileIdle extends Error {}

export class SteadyLoad {
  readonly result: SteadyLoadResult = { requests: 0, repeated: 0, lost: [], slowest: 0, bodies: new Map() };
  readonly #url: string;
  readonly #options: SteadyLoadOptions;
  #stopping = false;
  readonly #loops: Promise<void>[];

  constructor(url: string, options: SteadyLoadOptions = {}) {
    this.#url = url;
    this.#options = options;
    const loop = (keepAlive: boolean) => this.#loop(keepAlive);
    this.#loops = [
      ...Array.from({ length: options.kept ?? 3 }, () => loop(true)),
      ...Array.from({ length: options.fresh ?? 1 }, () => loop(false)),
    ];
  }

  /** Lets the requests in progress finish and tells what came of all of them. */
  async stop(): Promise<SteadyLoadResult> {
    this.#stopping = true;
    await Promise.all(this.#loops);
    return this.result;
  }

  async #loop(keepAlive: boolean): Promise<void> {
    const agent = new http.Agent({ keepAlive, maxSockets: 1 });
    const { result } = this;
    while (!this.#stopping) {
      result.requests += 1;
      const begin = performance.now();
      try {
        const { status, body } = await this.#once(agent);
        const wrong = status === 200 ? this.#options.check?.(body) : `status ${status}: ${body.slice(0, 200)}`;
        if (wrong) result.lost.push(wrong);
        if (result.bodies.size < 1000 || result.bodies.has(body)) result.bodies.set(body, (result.bodies.get(body) ?? 0) + 1);
      } catch (error) {
        result.lost.push(`${(error as NodeJS.ErrnoException).code ?? ''} ${(error as Error).message}`.trim());
      }
      result.slowest = Math.max(result.slowest, performance.now() - begin);
      if (this.#options.pause) await new Promise((resolve) => setTimeout(resolve, this.#options.pause));
    }
    agent.destroy();
  }

  async #once(agent: http.Agent): Promise<{ status: number; body: string }> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#request(agent);
      } catch (error) {
        // Another kept connection cannot have been idle: there is one for each agent.
        if (!(error instanceof ClosedWhileIdle) || attempt > 1) throw error;
        this.result.repeated += 1;
      }
    }
  }

  #request(agent: http.Agent): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const request = http.get(this.#url, { agent });
      let readBefore = 0;
      request.on('socket', (socket) => (readBefore = socket.bytesRead));
      request.setTimeout(30_000, () => request.destroy(new Error('no answer within 30 s')));
      request.on('error', (error: NodeJS.ErrnoException) => {
        const closed = error.code === 'ECONNRESET' || error.code === 'EPIPE';
        const untouched = (request.socket?.bytesRead ?? 0) === readBefore;
        reject(closed && request.reusedSocket && untouched ? new ClosedWhileIdle(error.message) : error);
      });
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          if (!response.complete) return reject(new Error('the answer was cut off'));
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
        });
      });
    });
  }
}
