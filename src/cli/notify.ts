/** Tells systemd how the service is: sd_notify(3). Does nothing where NOTIFY_SOCKET is not set. */
import { errorName } from './support.js';
import type { Support } from './support.js';

export class ServiceManager {
  readonly #support: Pick<Support, 'sendDatagram'>;
  readonly #address: string | undefined;
  readonly #watchdog: number;
  readonly #onFailure: (text: string) => void;
  #status = '';
  #failed = false;
  #timer: NodeJS.Timeout | undefined;

  /** Takes the variables out of `env`: workers are not to speak for the service. */
  constructor(support: Pick<Support, 'sendDatagram'>, env: NodeJS.ProcessEnv, pid: number, onFailure: (text: string) => void) {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
    this.#support = support;
    this.#address = NOTIFY_SOCKET !== undefined && /^[/@]./.test(NOTIFY_SOCKET) ? NOTIFY_SOCKET : undefined;
    const ours = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === pid;
    this.#watchdog = ours && Number(WATCHDOG_USEC) > 0 ? Number(WATCHDOG_USEC) : 0;
    this.#onFailure = onFailure;
  }

  /** What a successor needs to speak for the service itself. */
  variables(): Record<string, string> {
    if (this.#address === undefined) return {};
    return { NOTIFY_SOCKET: this.#address, ...(this.#watchdog > 0 ? { WATCHDOG_USEC: String(this.#watchdog) } : {}) };
  }

  ready(status: string): void {
    this.#status = status;
    this.#send(`READY=1\nSTATUS=${oneLine(status)}`);
    if (this.#watchdog === 0 || this.#address === undefined || this.#timer !== undefined) return;
    this.#send('WATCHDOG=1');
    // Twice as often as it has to be.
    this.#timer = setInterval(() => this.#send('WATCHDOG=1'), Math.max(1, this.#watchdog / 2000));
    this.#timer.unref();
  }

  reloading(): void {
    // Node's clock is CLOCK_MONOTONIC, which systemd compares with its own.
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}\nSTATUS=Reloading`);
  }

  /** A text for `systemctl status`. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#send(`STATUS=${oneLine(text)}`);
  }

  /** Without a status the last one stays. */
  stopping(status: string | undefined): void {
    this.#send(status === undefined ? 'STOPPING=1' : `STOPPING=1\nSTATUS=${oneLine(status)}`);
  }

  /** From now on that process is the service: its end, not that of another, is the end of the service. */
  mainProcess(pid: number): void {
    this.#send(`MAINPID=${pid}`);
  }

  #send(text: string): void {
    if (this.#address === undefined) return;
    const result = this.#support.sendDatagram(this.#address, text);
    if (result === 0) {
      this.#failed = false;
    } else if (!this.#failed) {
      this.#failed = true;
      this.#onFailure(`${this.#address} does not take notifications: ${errorName(result)}`);
    }
  }
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ');
