/** A request whose application is a fetch handler. */
import type { AsyncResource } from 'node:async_hooks';
import type { Incoming } from '../application.js';
import { BodyReader } from '../body-reader.js';
import type { BodyPort } from '../body-reader.js';
import { logText, Problem } from '../errors.js';
import { Exchange } from '../exchange.js';
import { LogLevel } from '../native.js';
import { variablesOf } from '../pending.js';
import type { RequestHead } from '../request-head.js';
import { urlOf } from './url.js';

export class FetchExchange extends Exchange implements BodyPort {
  head!: RequestHead;
  readonly #scope: AsyncResource;
  readonly #version: string;
  #variables: Record<string, unknown> | undefined;
  #reader: BodyReader | undefined;
  #url: string | undefined;
  #background: Set<Promise<void>> | undefined;

  /** `version` of nwsgi, as handlers see it in their environ. */
  constructor({ bridge, handle, hasBody, target, scope }: Incoming, version: string) {
    super(bridge, handle, hasBody, target);
    this.#scope = scope;
    this.#version = version;
  }

  /** Listeners of the signal run in the scope of the request. */
  override abort(): void {
    this.#scope.runInAsyncScope(super.abort, this);
  }

  override variables(): Record<string, unknown> {
    if (this.#variables === undefined) {
      this.#variables = variablesOf(Buffer.from(this.head.record, 'latin1'), this);
      this.#variables['nwsgi.version'] = this.#version;
    }
    return this.#variables;
  }

  /** Without decoding the variables. */
  override where(): string {
    return `${this.place()}, ${this.head.method} ${this.head.target}`;
  }

  get url(): string {
    return (this.#url ??= urlOf(this.head, () => this.#serverName()));
  }

  get reader(): BodyReader {
    return (this.#reader ??= new BodyReader(this));
  }

  get isHead(): boolean {
    return this.head.method === 'HEAD';
  }

  /** GET and HEAD have no body for the Fetch standard, whatever the client sent. */
  get readable(): boolean {
    return this.hasBody && this.head.method !== 'GET' && this.head.method !== 'HEAD';
  }

  #serverName(): string {
    const { SERVER_NAME: name = 'localhost', SERVER_PORT: port = '' } = this.variables() as Record<string, string | undefined>;
    return port === '' ? name : `${name}:${port}`;
  }

  // ---- work that outlasts the response ----

  /** The request counts as alive until `work` is settled; a rejection is logged. */
  keepAliveFor(work: unknown): void {
    const settled: Promise<void> = Promise.resolve(work).then(
      () => this.#settled(settled),
      (error: unknown) => {
        this.log(LogLevel.error, logText(Problem.backgroundFailed, this.where(), error));
        this.#settled(settled);
      },
    );
    (this.#background ??= new Set()).add(settled);
  }

  #settled(work: Promise<void>): void {
    this.#background?.delete(work);
  }

  get hasBackground(): boolean {
    return this.#background !== undefined && this.#background.size > 0;
  }

  /** Resolves when nothing is left of it, also of what it added itself. */
  async background(): Promise<void> {
    while (this.hasBackground) await Promise.all(this.#background ?? []);
  }
}
