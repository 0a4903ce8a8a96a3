/** Scripts whose servers are taken over: one after the other, so that it is known which server belongs to which. */
import type { Server } from 'node:net';
import { NwsgiTypeError, problemOf } from '../errors.js';
import type { CatalogueEntry } from '../errors.js';
import type { NativeBridge } from '../native.js';
import { hasForked } from '../platform/cluster.js';
import { NodeKind } from './application.js';
import { Listeners, protocolOf } from './listening.js';
import { lastingActivity, Readiness } from './readiness.js';
import type { Patience } from './readiness.js';
import { patchServerResponse } from './serve.js';

/** A script does not hold up the others for longer than this. */
const LONGEST_TURN = 2000;

interface Turn {
  /** See {@link lastingActivity}, before the script began. */
  readonly usual: number;
  readonly began: number;
  readonly end: () => void;
}

export class NodeScripts {
  readonly listeners: Listeners;
  readonly #readiness: Readiness;
  /** Of all scripts that have begun. */
  readonly #turns = new Map<string, Turn>();
  #last: Promise<void> = Promise.resolve();
  #installed = false;

  constructor(bridge: NativeBridge) {
    this.listeners = new Listeners(bridge);
    this.#readiness = new Readiness(this.listeners);
  }

  /** Resolves when it is the script's turn: servers that listen from then on are its own. {@link end} ends the turn. */
  async begin(script: string): Promise<void> {
    const before = this.#last;
    let end = (): void => undefined;
    this.#last = new Promise<void>((resolve) => {
      end = resolve;
    });
    await before;
    if (!this.#installed) {
      this.#installed = true;
      this.listeners.install();
      patchServerResponse();
    }
    this.listeners.owner = script;
    const timer = setTimeout(end, LONGEST_TURN).unref();
    this.#turns.set(script, {
      usual: lastingActivity(),
      began: Date.now(),
      end() {
        clearTimeout(timer);
        end();
      },
    });
  }

  end(script: string): void {
    this.#turns.get(script)?.end();
  }

  listens(script: string): boolean {
    return this.listeners.began(script);
  }

  /** Resolves when a server of the script has listened for so long; never if none does. */
  listensFor(script: string, milliseconds: number): Promise<undefined> {
    return new Promise((resolve) => {
      this.#readiness.whenListening(script, () => setTimeout(resolve, milliseconds, undefined).unref());
    });
  }

  /** Whether a server of the script listens, after waiting for it if there is `patience`. */
  async willListen(script: string, patience: Patience | undefined): Promise<boolean> {
    if (this.listens(script)) return true;
    return patience !== undefined && this.#readiness.wait(script, this.#turns.get(script)?.usual ?? 0, patience);
  }

  /** The application whose requests go to the servers of the script; while none has listened yet, to `exported`. */
  application(script: string, exported?: Server): NodeKind {
    const { listeners } = this;
    const own = exported === undefined ? undefined : { server: exported, protocol: protocolOf(exported) ?? 'http1' };
    return new NodeKind({
      find: (localPort) => listeners.find(localPort, script) ?? (listeners.began(script) ? undefined : own),
      connect: (server, socket) => listeners.connect(server, socket),
    });
  }

  /** `error`, with what was waited for. */
  explain(script: string, error: NwsgiTypeError): NwsgiTypeError {
    const seconds = Math.round((Date.now() - (this.#turns.get(script)?.began ?? 0)) / 1000);
    const waited = seconds === 0 ? '' : `; no server of it listened within ${seconds} s`;
    const forked = hasForked() ? '; it called cluster.fork(), which starts nothing here: start the server where cluster.isPrimary is true' : '';
    return new NwsgiTypeError(problemOf(error) as CatalogueEntry, `${error.message}${waited}${forked}`);
  }
}
