/** The signals of `nwsgi serve`, Gunicorn's; what arrives before the server is there waits for it. */
import { isatty } from 'node:tty';

export const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGTTIN', 'SIGTTOU', 'SIGUSR1', 'SIGUSR2'] as const;
export type ServeSignal = (typeof SIGNALS)[number];

/** npm and npx repeat a Ctrl-C that the terminal has sent to this process already. */
const SAME_KEY_PRESS = 300;

export type Order = 'stop' | 'stop at once' | 'reload' | 'one more' | 'one less' | 'reopen logs' | 'successor';

const ORDERS: Record<Exclude<ServeSignal, 'SIGINT'>, Order> = {
  SIGTERM: 'stop',
  SIGQUIT: 'stop at once',
  SIGHUP: 'reload',
  SIGTTIN: 'one more',
  SIGTTOU: 'one less',
  SIGUSR1: 'reopen logs',
  SIGUSR2: 'successor',
};

export class SignalQueue {
  readonly #waiting: Order[] = [];
  #handler: ((order: Order) => void) | undefined;
  #lastInterrupt = -Infinity;
  readonly #fromTerminal = [0, 1, 2].some((fd) => isatty(fd));

  constructor() {
    for (const name of SIGNALS) process.on(name, () => this.#arrived(name));
  }

  /** From now on, and for what has arrived so far. */
  handle(handler: (order: Order) => void): void {
    this.#handler = handler;
    for (const order of this.#waiting.splice(0)) handler(order);
  }

  #arrived(name: ServeSignal): void {
    const order = name === 'SIGINT' ? this.#interrupt() : ORDERS[name];
    if (order === undefined) return;
    if (this.#handler === undefined) this.#waiting.push(order);
    else this.#handler(order);
  }

  /** Of a terminal the first Ctrl-C stops gracefully and the second at once; `kill -INT` stops at once as in Gunicorn. */
  #interrupt(): Order | undefined {
    if (!this.#fromTerminal) return 'stop at once';
    const now = performance.now();
    const first = this.#lastInterrupt === -Infinity;
    if (!first && now - this.#lastInterrupt < SAME_KEY_PRESS) return undefined;
    this.#lastInterrupt = now;
    return first ? 'stop' : 'stop at once';
  }
}
