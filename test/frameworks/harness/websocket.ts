/** A WebSocket client (the `ws` package) whose events can be awaited. */
import type { EventEmitter } from 'node:events';
import { within } from '../../integration/harness/index.js';
import { clientPackage } from './apps.js';

/** What is used of the class of `ws`. */
interface WsClient extends EventEmitter {
  readonly readyState: number;
  readonly protocol: string;
  readonly extensions: string;
  send(data: string | Uint8Array, options?: { binary?: boolean; fin?: boolean }): void;
  ping(data?: string): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}
type WsConstructor = new (url: string, protocols?: string[], options?: Record<string, unknown>) => WsClient;

export interface Message {
  data: Buffer;
  binary: boolean;
}

export interface Closed {
  code: number;
  reason: string;
}

/** A connection; what arrives is kept until somebody asks for it. */
export class Socket {
  readonly ws: WsClient;
  readonly #messages: Message[] = [];
  readonly #waiting: ((message: Message) => void)[] = [];
  readonly closed: Promise<Closed>;

  private constructor(ws: WsClient) {
    this.ws = ws;
    ws.on('error', () => {});
    ws.on('message', (data: Buffer, binary: boolean) => {
      const wake = this.#waiting.shift();
      if (wake) wake({ data, binary });
      else this.#messages.push({ data, binary });
    });
    this.closed = new Promise((resolve) => {
      ws.on('close', (code: number, reason: Buffer) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** Connects; rejects when the server answers otherwise than by an upgrade. */
  static async open(url: string, { protocols = [] as string[], ...options }: Record<string, unknown> & { protocols?: string[] } = {}): Promise<Socket> {
    const WebSocket = clientPackage<WsConstructor>('ws');
    const ws = new WebSocket(url, protocols, { maxPayload: 64 * 1024 * 1024, perMessageDeflate: false, ...options });
    const socket = new Socket(ws);
    const opened = new Promise<void>((resolve, reject) => {
      ws.once('open', resolve);
      ws.once('error', reject);
      ws.once('unexpected-response', (_request: unknown, response: { statusCode: number }) => {
        reject(Object.assign(new Error(`unexpected response ${response.statusCode}`), { status: response.statusCode }));
      });
    });
    await within(15_000, `the WebSocket ${url}`, opened);
    return socket;
  }

  message(milliseconds = 10_000): Promise<Message> {
    const ready = this.#messages.shift();
    if (ready) return Promise.resolve(ready);
    return within(milliseconds, 'a WebSocket message', new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async text(milliseconds?: number): Promise<string> {
    return (await this.message(milliseconds)).data.toString();
  }

  send(data: string | Uint8Array, options: { binary?: boolean; fin?: boolean } = {}): void {
    this.ws.send(data, options);
  }

  /** Sends a text and waits for the next message. */
  ask(text: string): Promise<string> {
    this.send(text);
    return this.text();
  }

  end(milliseconds = 10_000): Promise<Closed> {
    return within(milliseconds, 'the end of the WebSocket', this.closed);
  }

  async close(code?: number, reason?: string): Promise<Closed> {
    this.ws.close(code, reason);
    return this.end();
  }
}
