/**
 * Runs an application without httpd: a bridge in JavaScript and the real gateway on top of it. For unit tests of
 * applications and of the gateway; what only a server can show (framing, time-outs) it does not imitate.
 */
import { constants } from 'node:os';
import type { Application } from '../application.js';
import { Dispatcher } from '../dispatcher.js';
import { FetchKind } from '../fetch/application.js';
import type { FetchHandler } from '../fetch/types.js';
import { BRIDGE_ABI, ENVELOPE_STRIDE, Event, HIGH_WATER, OVER, ReadEnd, ReadError, ReadPending } from '../native.js';
import type { LogLevelNumber, NativeBridge } from '../native.js';
import { encodeRecord } from '../record.js';
import { WsgiKind } from '../wsgi/application.js';
import type { WsgiApplication } from '../wsgi/types.js';

/** What the records of {@link fakeRecord} are for. */
const TARGET = 'wsgi\napplication\n/app.mjs';

export interface FakeRequest {
  method?: string;
  path?: string;
  query?: string;
  headers?: Record<string, string>;
  /** Further variables of the record; undefined removes one. */
  environ?: Record<string, string | undefined>;
  /** All of it, or blocks; with `openBody` more can be pushed later. */
  body?: string | Uint8Array | readonly (string | Uint8Array)[];
  openBody?: boolean;
}

/** The answer as the server would have got it. */
export class FakeResponse {
  status = '';
  headers: [string, string][] = [];
  body: Buffer = Buffer.alloc(0);
  /** What was handed over, in order: 'head', 'write', 'file', 'respond', 'interim', 'upgrade', 'trailers', 'end', 'abort', 'fail', 'release'. */
  readonly calls: string[] = [];
  readonly interims: string[] = [];
  /** What was to follow the body, `"Name:value\n"`. */
  trailers = '';
  failure: { status: number; code: string; message: string } | undefined;
  readonly log: string[] = [];

  get text(): string {
    return this.body.toString();
  }

  /** The values of a header, in order. */
  all(name: string): string[] {
    return this.headers.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  }

  get(name: string): string | undefined {
    return this.all(name)[0];
  }
}

interface Slot {
  response: FakeResponse;
  record: string;
  incoming: Buffer[];
  bodyEnded: boolean;
  bodyError: string;
  abortReason: number;
  queued: number;
  over: boolean;
  released: () => void;
}

/** The native side, in memory. */
export class FakeBridge implements NativeBridge {
  readonly abi = BRIDGE_ABI;
  config = JSON.stringify({ applicationGroup: 'test', processGroup: '', serverSoftware: 'fake', version: '0', preload: [], execPath: '' });
  readonly siteLog: string[] = [];
  readonly watched: string[] = [];
  readonly failedScripts: string[] = [];
  readyWith: string | undefined;
  isStopped = false;
  stopCallback: ((reason: string, milliseconds: number) => void) | undefined;
  /** Bytes count as delivered at once unless a test wants to see back-pressure. */
  slowClient = false;
  fileInfoOf: (fd: number) => { size: number; position: number } | null = () => null;

  readonly #slots = new Map<number, Slot>();
  #nextHandle = 1;
  #records: Uint8Array | undefined;
  #envelopes: Float64Array | undefined;
  #onTurn: ((count: number) => void) | undefined;

  attach(records: Uint8Array, envelopes: Float64Array, onTurn: (count: number) => void): void {
    this.#records = records;
    this.#envelopes = envelopes;
    this.#onTurn = onTurn;
  }

  /** Delivers requests in one turn; each promise resolves when its handle was released. */
  submit(...records: { record: string; body?: Buffer[]; openBody?: boolean }[]): { handle: number; response: FakeResponse; released: Promise<void> }[] {
    let offset = 0;
    const submitted = records.map(({ record, body, openBody }, i) => {
      const handle = this.#nextHandle++;
      const response = new FakeResponse();
      const slot: Slot = { response, record, incoming: body ?? [], bodyEnded: openBody !== true, bodyError: '', abortReason: 0, queued: 0, over: false, released: () => {} };
      const released = new Promise<void>((resolve) => {
        slot.released = resolve;
      });
      this.#slots.set(handle, slot);
      const fits = offset + record.length <= (this.#records as Uint8Array).length;
      if (fits) Buffer.from((this.#records as Uint8Array).buffer).write(record, offset, 'latin1');
      const hasBody = body !== undefined || openBody === true;
      (this.#envelopes as Float64Array).set([handle, Event.Request | (hasBody ? Event.HasBody : 0), fits ? offset : -1, record.length], i * ENVELOPE_STRIDE);
      if (fits) offset += record.length;
      return { handle, response, released };
    });
    this.#onTurn?.(records.length);
    return submitted;
  }

  notify(handle: number, events: number): void {
    (this.#envelopes as Float64Array).set([handle, events, 0, 0]);
    this.#onTurn?.(1);
  }

  pushBody(handle: number, bytes: string | Uint8Array): void {
    this.#slots.get(handle)?.incoming.push(Buffer.from(bytes as Uint8Array));
    this.notify(handle, Event.Body);
  }

  endBody(handle: number, error = ''): void {
    const slot = this.#slots.get(handle);
    if (slot === undefined) return;
    slot.bodyEnded = true;
    slot.bodyError = error;
    this.notify(handle, Event.Body);
  }

  /** The client left (1), the request timed out (2), the server stops (3). */
  abortRequest(handle: number, reason = 1): void {
    const slot = this.#slots.get(handle);
    if (slot === undefined) return;
    slot.abortReason = reason;
    slot.over = true;
    this.notify(handle, Event.Aborted);
  }

  /** The slow client has read everything. */
  drain(handle: number): void {
    const slot = this.#slots.get(handle);
    if (slot === undefined) return;
    slot.queued = 0;
    this.notify(handle, Event.Writable);
  }

  record(handle: number): string {
    return this.#slots.get(handle)?.record ?? '';
  }

  respond(handle: number, head: string, body?: Uint8Array | string): number {
    return this.#with(handle, 'respond', (slot) => {
      setHead(slot.response, head);
      if (body !== undefined) append(slot.response, body);
      return 0;
    });
  }

  head(handle: number, head: string): number {
    return this.#with(handle, 'head', (slot) => {
      setHead(slot.response, head);
      return 0;
    });
  }

  write(handle: number, chunk: Uint8Array | string): number {
    return this.#with(handle, 'write', (slot) => {
      const size = append(slot.response, chunk);
      if (this.slowClient) slot.queued += size;
      return slot.queued;
    });
  }

  sendFile(handle: number, fd: number, offset: number, length: number): number {
    return this.#with(handle, 'file', (slot) => {
      slot.response.calls.push(`${fd}:${offset}+${length}`);
      return length;
    });
  }

  fileInfo(fd: number): { size: number; position: number } | null {
    return this.fileInfoOf(fd);
  }

  interim(handle: number, head: string): number {
    return this.#with(handle, 'interim', (slot) => {
      slot.response.interims.push(head);
      return 0;
    });
  }

  upgrade(handle: number, head: string): number {
    return this.#with(handle, 'upgrade', (slot) => {
      setHead(slot.response, head);
      return 0;
    });
  }

  trailers(handle: number, lines: string): number {
    return this.#with(handle, 'trailers', (slot) => {
      slot.response.trailers += lines;
      return 0;
    });
  }

  requestTrailers(): string {
    return '';
  }

  end(handle: number): number {
    return this.#with(handle, 'end', () => 0);
  }

  abort(handle: number): number {
    return this.#with(handle, 'abort', () => 0);
  }

  fail(handle: number, status: number, code: string, message: string): number {
    return this.#with(handle, 'fail', (slot) => {
      slot.response.failure = { status, code, message };
      return 0;
    });
  }

  release(handle: number): void {
    const slot = this.#slots.get(handle);
    if (slot === undefined) throw new Error(`handle ${handle} was released twice`);
    this.#slots.delete(handle);
    slot.response.calls.push('release');
    slot.released();
  }

  read(handle: number, most: number): Uint8Array | number {
    const slot = this.#slots.get(handle);
    if (slot === undefined) return OVER;
    const first = slot.incoming.shift();
    if (first !== undefined) {
      if (first.length > most) slot.incoming.unshift(first.subarray(most));
      return Uint8Array.from(first.subarray(0, most));
    }
    if (slot.bodyError !== '') return ReadError;
    if (slot.over) return OVER;
    return slot.bodyEnded ? ReadEnd : ReadPending;
  }

  bodyError(handle: number): string {
    return this.#slots.get(handle)?.bodyError ?? '';
  }

  abortReason(handle: number): number {
    return this.#slots.get(handle)?.abortReason ?? 0;
  }

  log(handle: number, _level: LogLevelNumber, text: string): void {
    (this.#slots.get(handle)?.response.log ?? this.siteLog).push(text);
  }

  ready(failure: string): void {
    this.readyWith = failure;
  }

  loadFailed(script: string): void {
    this.failedScripts.push(script);
  }

  watch(script: string, callable: string): void {
    this.watched.push(`${script} ${callable}`);
  }

  changeDirectory(): number {
    return constants.errno.ENOTSUP;
  }

  onStop(callback: (reason: string, milliseconds: number) => void): void {
    this.stopCallback = callback;
  }

  stopped(): void {
    this.isStopped = true;
  }

  #with(handle: number, call: string, act: (slot: Slot) => number): number {
    const slot = this.#slots.get(handle);
    if (slot === undefined || slot.over) return OVER;
    slot.response.calls.push(call);
    return act(slot);
  }
}

function setHead(response: FakeResponse, packed: string): void {
  const [status = '', ...lines] = packed.split(/\r?\n/);
  response.status = status.replace(/^HTTP\/\d\.\d /, '');
  response.headers = lines.filter((line) => line !== '').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]);
}

function append(response: FakeResponse, chunk: Uint8Array | string): number {
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  response.body = Buffer.concat([response.body, bytes]);
  return bytes.length;
}

/** The record of a request as the server would write it. */
export function fakeRecord(request: FakeRequest = {}): string {
  const path = request.path ?? '/';
  const query = request.query ?? '';
  const variables = new Map<string, string>([
    ['nwsgi.x-target', TARGET],
    ['REQUEST_METHOD', request.method ?? 'GET'],
    ['SCRIPT_NAME', ''],
    ['PATH_INFO', Buffer.from(decodeURIComponent(path)).toString('latin1')],
    ['QUERY_STRING', query],
    ['REQUEST_URI', query === '' ? path : `${path}?${query}`],
    ['SERVER_NAME', 'localhost'],
    ['SERVER_PORT', '80'],
    ['SERVER_PROTOCOL', 'HTTP/1.1'],
    ['SCRIPT_FILENAME', '/app.mjs'],
    ['wsgi.url_scheme', 'http'],
    ['HTTP_HOST', 'localhost'],
  ]);
  for (const [name, value] of Object.entries(request.headers ?? {})) {
    const key = name.toUpperCase().replace(/-/g, '_');
    variables.set(key === 'CONTENT_TYPE' || key === 'CONTENT_LENGTH' ? key : `HTTP_${key}`, value);
  }
  for (const [name, value] of Object.entries(request.environ ?? {})) {
    if (value === undefined) variables.delete(name);
    else variables.set(name, value);
  }
  return encodeRecord(variables);
}

function kindOf(application: WsgiApplication | FetchHandler | Application): Application {
  if (typeof application === 'function') return new WsgiKind(application, '0');
  return 'fetch' in application ? new FetchKind(application, '0') : application;
}

/** One application behind the gateway. */
export class FakeHost {
  readonly bridge = new FakeBridge();
  readonly dispatcher: Dispatcher;

  /** A WSGI callable, a fetch handler, or an application of any kind. */
  constructor(application: WsgiApplication | FetchHandler | Application) {
    const wrapped = kindOf(application);
    this.dispatcher = new Dispatcher(this.bridge, { load: () => Promise.resolve({ application: wrapped }) });
    this.dispatcher.adopt(TARGET, wrapped);
    this.dispatcher.attach();
  }

  /** Starts a request and returns at once. */
  begin(request: FakeRequest = {}): { handle: number; response: FakeResponse; released: Promise<void> } {
    const { body } = request;
    const blocks = body === undefined ? undefined : typeof body === 'string' || body instanceof Uint8Array ? [body] : body;
    const [submitted] = this.bridge.submit({
      record: fakeRecord(request),
      ...(blocks === undefined ? {} : { body: blocks.map((block) => Buffer.from(block as Uint8Array)) }),
      openBody: request.openBody === true,
    });
    if (submitted === undefined) throw new Error('nothing was submitted');
    return submitted;
  }

  /** Performs a request to its end. */
  async fetch(request: FakeRequest = {}): Promise<FakeResponse> {
    const { response, released } = this.begin(request);
    await released;
    return response;
  }
}

export { HIGH_WATER };
