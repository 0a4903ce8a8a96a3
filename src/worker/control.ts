/**
 * What the worker and its supervisor say to each other (see supervisor/messages.ts), over Node's own IPC channel, which is
 * hidden from the application: for that, its process has no parent that takes messages.
 *
 * Messages to the worker are internal ones of Node. Node's code for the channel needs `process.channel` and
 * `process.connected`: they are there while it runs, and for nobody else.
 */
import { TO_WORKER } from '../supervisor/messages.js';
import type { FromWorker, ToWorker } from '../supervisor/messages.js';

type Listener = (message: unknown, handle: unknown) => void;

/** What arrived before the gateway was loaded. */
export interface EarlyMessages {
  readonly messages: [message: unknown, handle: unknown][];
  readonly listener: Listener;
}

/** A connection as it comes through the channel. */
export interface RawHandle {
  readonly fd: number;
  close(): void;
}

/** The channel's end in the binding of libuv. */
interface ChannelHandle {
  onread: (this: unknown, ...args: unknown[]) => unknown;
  close(): void;
}

type Send = (this: unknown, message: unknown, handle: undefined, options: object, callback: (error: Error | null) => void) => boolean;

interface ProcessInternals extends NodeJS.EventEmitter {
  channel?: unknown;
  connected?: boolean;
  send?: unknown;
  disconnect?: unknown;
  _send: Send;
  [key: symbol]: unknown;
}

const INTERNAL = 'internalMessage';

function ignore(): void {}

export class Control {
  /** Replaced by whoever acts on messages; those that came before are kept. */
  #onMessage: ((message: ToWorker, handle: RawHandle | undefined) => void) | undefined;
  #waiting: [message: ToWorker, handle: RawHandle | undefined][] = [];
  #lost = false;
  #onLost: () => void = ignore;
  /** Depth of calls of Node's own code for the channel. */
  #inside = 0;
  readonly #send: Send;
  readonly #channel: NodeJS.RefCounted | undefined;
  /** Stands for `process` in Node's own functions. */
  readonly #connected: object;

  constructor(early: EarlyMessages) {
    const internals = process as unknown as ProcessInternals;
    this.#send = internals._send;
    this.#channel = process.channel as NodeJS.RefCounted | undefined;
    this.#connected = Object.create(process, { connected: { value: true } }) as object;
    internals.removeListener(INTERNAL, early.listener);
    this.#hide(internals);
    internals.on(INTERNAL, (message: unknown, handle: unknown) => this.#receive(message, handle));
    for (const [message, handle] of early.messages) this.#receive(message, handle);
  }

  /** `onLost` runs once when the supervisor is gone, at once if it is already. */
  listen(onMessage: (message: ToWorker, handle: RawHandle | undefined) => void, onLost: () => void): void {
    this.#onMessage = onMessage;
    this.#onLost = onLost;
    for (const [message, handle] of this.#waiting.splice(0)) onMessage(message, handle);
    if (this.#lost) onLost();
  }

  /** The channel does not keep the process alive any more: what does so by its existence would be taken for the application's. */
  unref(): void {
    this.#channel?.unref();
  }

  /** Written at once, unless the supervisor is far behind: also what is said just before the process ends. */
  send(message: FromWorker): void {
    if (this.#lost) return;
    try {
      this.#send.call(this.#connected, message, undefined, { swallowErrors: true }, ignore);
    } catch {
      // The supervisor has just gone: its end of the channel will tell.
    }
  }

  #receive(message: unknown, handle: unknown): void {
    if (typeof message !== 'object' || message === null || (message as { cmd?: unknown }).cmd !== TO_WORKER) return;
    const known = message as ToWorker;
    if (this.#onMessage === undefined) this.#waiting.push([known, handle as RawHandle | undefined]);
    else this.#onMessage(known, handle as RawHandle | undefined);
  }

  #loseSupervisor(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#onLost();
  }

  #hide(internals: ProcessInternals): void {
    const symbol = Object.getOwnPropertySymbols(internals).find(({ description }) => description === 'kChannelHandle');
    const channel = symbol === undefined ? undefined : (internals[symbol] as ChannelHandle | undefined);
    if (typeof channel?.onread === 'function') {
      this.#wrapChannel(channel);
      for (const listener of internals.listeners(INTERNAL)) this.#wrapListener(internals, listener as Listener);
      for (const name of ['channel', 'connected'] as const) {
        const value = internals[name];
        Object.defineProperty(internals, name, { configurable: true, enumerable: false, get: () => (this.#inside > 0 ? value : undefined), set: ignore });
      }
    } else if (internals.connected !== true) {
      // The supervisor was gone before the gateway was loaded.
      this.#lost = true;
    } else {
      // Another Node than the ones that are known: what it needs stays visible.
      internals.once('disconnect', () => this.#loseSupervisor());
    }
    delete internals.send;
    delete internals.disconnect;
    for (const name of ['_send', '_disconnect', '_handleQueue', '_pendingMessage']) {
      if (name in internals) Object.defineProperty(internals, name, { enumerable: false });
    }
  }

  #wrapChannel(channel: ChannelHandle): void {
    const { onread } = channel;
    const loseSupervisor = (): void => {
      channel.close();
      this.#loseSupervisor();
    };
    const within = <T>(call: () => T): T => this.#within(call);
    channel.onread = function (...args) {
      // Without bytes: the end. Node's own code would tell the application.
      if (args[0] === undefined) return loseSupervisor();
      return within(() => onread.apply(this, args));
    };
  }

  #wrapListener(internals: ProcessInternals, listener: Listener): void {
    internals.removeListener(INTERNAL, listener);
    internals.on(INTERNAL, (message: unknown, handle: unknown) => this.#within(() => listener.call(process, message, handle)));
  }

  #within<T>(call: () => T): T {
    this.#inside += 1;
    try {
      return call();
    } finally {
      this.#inside -= 1;
    }
  }
}
