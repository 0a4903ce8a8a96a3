/**
 * A request that came by a server written in JavaScript (nwsgi serve --http), for an application of Python: what a serving
 * thread does for requests of mod_nwsgi or FastCGI is done here, on the loop.
 */
import type { Incoming } from '../application.js';
import { Exchange, Flow } from '../exchange.js';
import { LogLevel, ReadEnd, ReadError, ReadPending } from '../native.js';
import { latin1 } from '../record.js';
import { ItemKind, PumpEnd } from './addon.js';
import type { Pumps, PumpItem, PumpWork } from './addon.js';

/** Of one environment, by token. */
export type PumpTable = Map<number, PumpedExchange>;

export class PumpedExchange extends Exchange {
  readonly #pumps: Pumps;
  readonly #table: PumpTable;
  readonly #token: number;
  readonly #done: Incoming['done'];
  /** Bytes that the client's side has not taken; the application hears of them when it has. */
  #unwritten = 0;
  /** The application waits for body bytes, and none are there. */
  #reading = false;

  constructor({ bridge, handle, hasBody, target, bytes, start, end, done }: Incoming, pumps: Pumps, application: number, table: PumpTable) {
    super(bridge, handle, hasBody, target);
    this.#pumps = pumps;
    this.#table = table;
    this.#done = done;
    this.#token = pumps.open(application, latin1(bytes, start, end), hasBody);
    table.set(this.#token, this);
    this.onAbort = () => this.#leave();
    this.onBody = () => this.#pumpBody();
    this.onWritable = () => this.#report(0);
  }

  /** The application has something for the client, or wants something of it. */
  serve(): void {
    const work = this.over ? null : this.#pumps.take(this.#token);
    if (work === null) return;
    if (!this.#wasWhole(work)) {
      for (const item of work.items) this.#pass(item);
    }
    if (work.end !== PumpEnd.open) {
      this.#finish(work);
    } else if (work.bodyWanted) {
      this.#reading = true;
      this.#pumpBody();
    }
  }

  /** The common case: head, at most one block, end. */
  #wasWhole({ items, end }: PumpWork): boolean {
    const [head, block] = items;
    if (this.headSent || end !== PumpEnd.complete || head?.kind !== ItemKind.head || items.length > 2) return false;
    if (block !== undefined && block.kind !== ItemKind.data) return false;
    this.sendAll(head.text, block?.data);
    return true;
  }

  #pass(item: PumpItem): void {
    switch (item.kind) {
      case ItemKind.head:
        return this.sendHead(item.text);
      case ItemKind.data:
        return this.#report(item.data.length, this.send(item.data) === Flow.Pause);
      case ItemKind.file:
        this.bridge.sendFile(this.handle, item.fd, item.offset, item.length);
        return;
      case ItemKind.interim:
        this.bridge.interim(this.handle, item.text);
        return;
      case ItemKind.trailers:
        this.bridge.trailers(this.handle, item.text);
        return;
      case ItemKind.log:
        return this.log(item.level, item.text);
    }
  }

  #report(bytes: number, waits = false): void {
    this.#unwritten += bytes;
    if (waits || this.over || this.#unwritten === 0) return;
    this.#pumps.written(this.#token, this.#unwritten);
    this.#unwritten = 0;
  }

  #pumpBody(): void {
    while (this.#reading && !this.over && !this.aborted) {
      const room = this.#pumps.room(this.#token);
      if (room === 0) {
        this.#reading = false;
        return;
      }
      const read = this.bridge.read(this.handle, room);
      if (read === ReadPending) return;
      if (typeof read !== 'number') {
        this.#pumps.push(this.#token, read);
        continue;
      }
      this.#reading = false;
      if (read === ReadEnd) this.#pumps.endBody(this.#token);
      else if (read === ReadError) this.#pumps.failBody(this.#token, this.bridge.bodyError(this.handle));
    }
  }

  #finish({ end, status = 500, code = '', message = '', logged = true }: PumpWork): void {
    if (end === PumpEnd.complete) {
      this.end();
    } else if (end === PumpEnd.aborted) {
      this.breakOff();
    } else if (!this.ended) {
      this.ended = true;
      if (!logged) this.log(LogLevel.error, `${code} ${message}`);
      this.bridge.fail(this.handle, status, code, message);
    }
    this.#close();
  }

  /** The client has gone, or the request took too long. */
  #leave(): void {
    if (this.over) return;
    this.#pumps.abort(this.#token, this.bridge.abortReason(this.handle) || 1);
    this.#close();
  }

  #close(): void {
    this.#pumps.finish(this.#token);
    this.#table.delete(this.#token);
    this.release();
    // Not within begin(): the dispatcher does not know of it before that has returned.
    setImmediate(() => this.#done(this));
  }
}
