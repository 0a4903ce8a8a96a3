/**
 * One request as every kind of application has it: its way to the bridge and the state of its response. What the kinds
 * make of it stands in wsgi/, node/ and fetch/.
 *
 * Life: created for a Request envelope; open → head sent → ended (complete, failed or aborted) → over (released).
 * Every call after `release()` is refused here and can never touch another request.
 */
import { pageFor } from './error-page.js';
import { logText, NwsgiError, Problem, problemOf, summary } from './errors.js';
import type { CatalogueEntry } from './errors.js';
import { HIGH_WATER, LogLevel, OVER } from './native.js';
import type { LogLevelNumber, NativeBridge } from './native.js';
import { USUAL_CALLABLE } from './record.js';
import { titleFor } from './remedies.js';
import type { Instructions, Target } from './record.js';
import { countStreamed } from './streamed-memory.js';

/** What {@link Exchange.send} tells the one who delivers blocks. */
export const Flow = { Continue: 0, Pause: 1, Stop: 2 } as const;
export type FlowNumber = (typeof Flow)[keyof typeof Flow];

/** How long an application may go on after its request was aborted, before it is left to itself. */
const PATIENCE_MILLISECONDS = 100;

export const ABORT_TEXT = ['the request is over', 'the client left', 'the request took too long', 'the server stops', 'the server had a fault'] as const;

function ignore(): void {}

export class Exchange implements Instructions {
  readonly bridge: NativeBridge;
  readonly handle: number;
  readonly hasBody: boolean;
  readonly target: Target;

  // From the record.
  developmentPage = false;
  reloading = false;
  multiprocess = false;
  authorization: boolean | undefined = undefined;
  environment = '';
  localPort = '';

  headSent = false;
  ended = false;
  over = false;
  aborted = false;
  /** A connection of its own now (a WebSocket): it lasts, and is not waited for at an orderly end. */
  upgraded = false;
  /** Runs when it was upgraded; the dispatcher's. */
  onUpgraded: (() => void) | undefined;
  /** Runs once when the request is aborted; set by whoever waits for the application's next block. */
  onAbort: (() => void) | undefined;
  /** Runs when the bridge reports new body bytes or the request is aborted. */
  onBody: (() => void) | undefined;
  /** Runs when the bridge takes more after {@link Flow.Pause}, or the request is aborted. */
  onWritable: (() => void) | undefined;

  #writable: { promise: Promise<void>; resolve: () => void } | undefined;
  #controller: AbortController | undefined;
  #giveUp: (() => void) | undefined;
  #patience: NodeJS.Timeout | undefined;
  #gaveUp = false;

  constructor(bridge: NativeBridge, handle: number, hasBody: boolean, target: Target) {
    this.bridge = bridge;
    this.handle = handle;
    this.hasBody = hasBody;
    this.target = target;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.aborted) this.#controller.abort(this.abortError());
    }
    return this.#controller.signal;
  }

  // ---- the response ----

  /** Hands over the head, in one of the forms that NativeBridge.head takes. */
  sendHead(head: string): void {
    if (this.headSent) return;
    this.headSent = true;
    if (this.bridge.head(this.handle, head) === OVER) this.abort();
  }

  /** Queues one block; the head has been sent. */
  send(chunk: Uint8Array | string): FlowNumber {
    if (this.aborted) return Flow.Stop;
    const queued = this.bridge.write(this.handle, chunk);
    if (queued === OVER) {
      this.abort();
      return Flow.Stop;
    }
    countStreamed(chunk.length);
    return queued > HIGH_WATER ? Flow.Pause : Flow.Continue;
  }

  /** Head, body and end in one call. */
  sendAll(head: string, body?: Uint8Array | string): void {
    this.headSent = true;
    this.ended = true;
    if (this.bridge.respond(this.handle, head, body) === OVER) this.aborted = true;
  }

  /** Everything was sent. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    if (!this.aborted && this.bridge.end(this.handle) === OVER) this.aborted = true;
  }

  /** What was sent stays incomplete, and will look so to the client. */
  breakOff(): void {
    if (this.ended) return;
    this.ended = true;
    if (!this.aborted) this.bridge.abort(this.handle);
  }

  /** The application has taken the connection over. */
  becomeUpgraded(): void {
    this.upgraded = true;
    this.onUpgraded?.();
  }

  /** Resolves when the bridge takes more, or the request is aborted. */
  writable(): Promise<void> {
    if (this.aborted || this.over) return Promise.resolve();
    if (this.#writable === undefined) {
      let resolve: () => void = ignore;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#writable = { promise, resolve };
    }
    return this.#writable.promise;
  }

  // ---- how it can go wrong ----

  /** Variables of the request for log lines and error pages; undefined when it has none yet. */
  variables(): Readonly<Record<string, unknown>> | undefined {
    return undefined;
  }

  /** Runs before something final is said about the request: what is still held back for its log is written. */
  protected flushLog(): void {}

  /** Where things happened, for log lines. Never throws, whatever the application made of its variables. */
  where(): string {
    const variables = this.variables();
    const line = `${textOf(variables, 'REQUEST_METHOD')} ${textOf(variables, 'REQUEST_URI') || textOf(variables, 'PATH_INFO')}`;
    return `${this.place()}, ${line}`;
  }

  /** The script, and what of it is called. */
  protected place(): string {
    return placeOf(this.target);
  }

  log(level: LogLevelNumber, text: string): void {
    this.bridge.log(this.over ? 0 : this.handle, level, text);
  }

  /** Ends the response because of an error: an error page when nothing was sent, else visibly incomplete (W-96, W-97). */
  fail(error: unknown, problem?: CatalogueEntry, status = 500): void {
    // Before the log line of the error, and before the server may forget the request.
    this.flushLog();
    const known = problem ?? problemOf(error) ?? (this.headSent ? Problem.applicationFailedLate : Problem.applicationFailed);
    if (this.aborted) {
      // Nobody waits for the answer. What an application does after that is of interest only when it is debugged.
      this.log(LogLevel.info, `${Problem.clientGone.code} ${this.abortError().message}; the application ended with ${summary(error)} (${this.where()})`);
      this.ended = true;
      return;
    }
    this.log(LogLevel.error, logText(known, this.where(), error));
    if (this.ended) return;
    this.ended = true;
    if (this.headSent) {
      this.bridge.abort(this.handle);
    } else if (this.developmentPage) {
      this.headSent = true;
      this.#sendPage(known, error, status);
    } else {
      this.bridge.fail(this.handle, status, known.code, `${titleFor(known, error)}: ${summary(error)}`);
    }
  }

  /** Sends the page for developers, if there is to be one and nothing was sent yet. */
  showError(problem: CatalogueEntry, error: unknown): void {
    if (!this.developmentPage || this.headSent || this.ended || this.aborted) return;
    this.ended = true;
    this.headSent = true;
    this.#sendPage(problem, error, 500);
  }

  #sendPage(problem: CatalogueEntry, error: unknown, status: number): void {
    let page;
    try {
      page = pageFor({ problem, error, environ: this.variables(), status, place: this.place() });
    } catch (fault) {
      this.log(LogLevel.critical, logText(Problem.gatewayFault, this.where(), fault));
      this.bridge.fail(this.handle, status, problem.code, problem.title);
      return;
    }
    this.bridge.respond(this.handle, page.head, page.body);
  }

  abortError(): NwsgiError {
    const reason = this.over ? 0 : this.bridge.abortReason(this.handle);
    return new NwsgiError(Problem.clientGone, ABORT_TEXT[reason] || 'the client left');
  }

  // ---- what the bridge reports ----

  abort(): void {
    if (this.aborted || this.over) return;
    this.aborted = true;
    this.#patience = setTimeout(() => this.#leave(), PATIENCE_MILLISECONDS);
    this.#controller?.abort(this.abortError());
    // First of all: told that it may write again, an application that writes as long as it may would never stop.
    this.onAbort?.();
    this.writableAgain();
    this.onBody?.();
  }

  /** `giveUp` runs when the request was aborted and what its application does is not to be waited for any longer. */
  waitFor(giveUp: () => void): void {
    if (this.#gaveUp) giveUp();
    else this.#giveUp = giveUp;
  }

  #leave(): void {
    this.#gaveUp = true;
    this.#giveUp?.();
  }

  writableAgain(): void {
    const waiting = this.#writable;
    this.#writable = undefined;
    waiting?.resolve();
    this.onWritable?.();
  }

  /** The gateway has no more use for the request. */
  release(): void {
    if (this.over) return;
    this.flushLog();
    this.ended = true;
    this.over = true;
    this.#giveUp = undefined;
    if (this.#patience !== undefined) clearTimeout(this.#patience);
    this.bridge.release(this.handle);
    this.writableAgain();
    this.onBody?.();
  }
}

function textOf(variables: Readonly<Record<string, unknown>> | undefined, key: string): string {
  try {
    const value = variables?.[key];
    return typeof value === 'string' ? value : '';
  } catch {
    return '';
  }
}

/** The script, and its callable where there is one to be expected. */
export function placeOf({ script, type, callable }: Target): string {
  return type === 'wsgi' || callable !== USUAL_CALLABLE ? `script ${script}, callable ${callable}` : `script ${script}`;
}
