/** A request of a Node application. */
import type { AsyncResource } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';
import type { Incoming } from '../application.js';
import { Exchange } from '../exchange.js';
import { variablesOf } from '../pending.js';
import type { RequestHead } from '../request-head.js';
import { ClientSocket } from './socket.js';

export class NodeExchange extends Exchange {
  request!: RequestHead;
  /** See {@link Incoming.scope}. */
  readonly scope: AsyncResource;
  readonly #done: (exchange: Exchange) => void;
  #variables: Record<string, unknown> | undefined;

  constructor({ bridge, handle, hasBody, target, scope, done }: Incoming) {
    super(bridge, handle, hasBody, target);
    this.scope = scope;
    this.#done = done;
  }

  /** The exchange of a request that a server of this gateway got. */
  static of(req: IncomingMessage): NodeExchange | undefined {
    const socket: unknown = req.socket;
    return socket instanceof ClientSocket ? (socket.exchange as NodeExchange) : undefined;
  }

  override variables(): Record<string, unknown> {
    return (this.#variables ??= variablesOf(Buffer.from(this.request.record, 'latin1'), this));
  }

  /**
   * An exception left the application's handler. Node would end the process; here the request gets its error, and the
   * others go on. An application that handles uncaught exceptions itself gets it, as it would in a process of its own.
   */
  handlerFailed(error: unknown): void {
    if (process.listenerCount('uncaughtException') > 0) {
      process.nextTick(() => {
        throw error;
      });
      return;
    }
    this.fail(error);
    this.closeSocket?.();
  }

  /** Ends the socket that the application has of the request. */
  closeSocket: (() => void) | undefined;

  /** The request is over in every way. */
  finish(): void {
    if (this.over) return;
    this.release();
    this.#done(this);
  }

  // Events of the server come from outside of the request's own chain of callbacks.
  override abort(): void {
    this.scope.runInAsyncScope(super.abort, this);
  }

  override writableAgain(): void {
    this.scope.runInAsyncScope(super.writableAgain, this);
  }
}
