/** Requests at a fixed rate, each with an answer of its own, and what became of every one of them. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { sleep, type HttpdServer, type Options } from '../harness/index.js';

export interface Outcome {
  id: number;
  /** When it was sent, and when its answer was complete or had failed: milliseconds of performance.now(). */
  begin: number;
  end: number;
  /** 0: there was no answer. */
  status: number;
  /** '' for a complete and correct answer. */
  problem: string;
  /** Process that answered, as the answer says. */
  pid: number;
}

/** An application in several workers of one group, which keeps notes below the server's root. */
export function chaosServer(processes: number, more: Options = {}): Options {
  return {
    threads: 128,
    apps: ['daemon/chaos.mjs'],
    logLevel: 'info',
    directives: (s) => {
      mkdirSync(notesFolder(s), { recursive: true });
      chmodSync(notesFolder(s), 0o777);
      return [
        'MaxKeepAliveRequests 0',
        'KeepAliveTimeout 60',
        `WSGIDaemonProcess chaos processes=${processes}${process.getuid?.() === 0 ? ' user=www-data group=www-data' : ''}`,
        `WSGIScriptAlias / ${s.app('daemon/chaos.mjs')} process-group=chaos application-group=chaos`,
        `WSGIApplicationEnv CHAOS_NOTES=${notesFolder(s)}`,
      ];
    },
    ...more,
  };
}

const notesFolder = (s: HttpdServer): string => join(s.root, 'notes');

/** Which requests each process has begun, and which of them it has answered as far as the application is concerned. */
export function notesOf(s: HttpdServer): Map<number, { begun: Set<number>; finished: Set<number> }> {
  const all = new Map<number, { begun: Set<number>; finished: Set<number> }>();
  for (const name of readdirSync(notesFolder(s))) {
    const lines = readFileSync(join(notesFolder(s), name), 'utf8').split('\n');
    const ids = (verb: string) => new Set(lines.filter((line) => line.startsWith(`${verb} `)).map((line) => Number(line.slice(verb.length + 1))));
    all.set(Number(name), { begun: ids('begun'), finished: ids('finished') });
  }
  return all;
}

/** Starts `rate` requests a second, whatever becomes of the earlier ones, until it is stopped. */
export class ChaosLoad {
  readonly outcomes: Outcome[] = [];
  readonly #server: HttpdServer;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 120, scheduling: 'fifo' });
  readonly #running = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #next = 0;

  constructor(server: HttpdServer, rate: number) {
    this.#server = server;
    const start = performance.now();
    this.#timer = setInterval(() => {
      const due = ((performance.now() - start) * rate) / 1000;
      while (this.#next < due) this.#start(this.#next++);
    }, 4);
  }

  /** Requests that have no complete answer yet. */
  get open(): number {
    return this.#running.size;
  }

  async stop(): Promise<Outcome[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    this.#agent.destroy();
    return this.outcomes;
  }

  #start(id: number): void {
    const running = this.#once(id).then((outcome) => {
      this.outcomes.push(outcome);
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  #once(id: number): Promise<Outcome> {
    // Every third one is a POST, every fifth one comes in two parts; they take 0 to 40 ms.
    const sent = id % 3 === 0 ? `body of ${id}` : '';
    const expected = createHash('sha256').update(`${id} ${sent}`).digest('hex').repeat(40);
    const path = `/?id=${id}&delay=${(id * 7) % 41}${id % 5 === 0 ? '&parts' : ''}`;
    const outcome: Outcome = { id, begin: performance.now(), end: 0, status: 0, problem: '', pid: 0 };
    return new Promise((resolve) => {
      const done = (problem: string) => resolve(Object.assign(outcome, { end: performance.now(), problem }));
      const request = http.request(this.#server.url(path), { agent: this.#agent, method: sent === '' ? 'GET' : 'POST' }, (response) => {
        outcome.status = response.statusCode ?? 0;
        outcome.pid = Number(response.headers['x-process'] ?? 0);
        let body = '';
        response.setEncoding('latin1');
        response.on('data', (text: string) => (body += text));
        response.on('error', () => {});
        response.on('close', () => {
          if (!response.complete) done(`cut off after ${body.length} characters`);
          else if (outcome.status !== 200) done(`status ${outcome.status}`);
          else done(body === expected ? '' : `WRONG BODY ${JSON.stringify(body.slice(0, 200))}`);
        });
      });
      request.setTimeout(10_000, () => request.destroy(new Error('HANGS: no answer within 10 s')));
      request.on('error', (error: NodeJS.ErrnoException) => done(error.message));
      request.end(sent);
    });
  }
}

export interface Kill {
  pid: number;
  at: number;
}

/** Kills one worker after another that has answered a request, `count` times, one each second. */
export async function killWorkers(s: HttpdServer, load: ChaosLoad, count: number): Promise<Kill[]> {
  const kills: Kill[] = [];
  for (let i = 0; i < count; i++) {
    const until = performance.now() + 1000;
    const answered = new Set(load.outcomes.slice(-1000).map(({ pid }) => pid));
    const victims = s.workers().filter((pid) => answered.has(pid) && !kills.some((kill) => kill.pid === pid));
    const victim = victims[i % victims.length];
    if (victim !== undefined) {
      kills.push({ pid: victim, at: performance.now() });
      process.kill(victim, 'SIGKILL');
    }
    await sleep(until - performance.now());
  }
  return kills;
}
