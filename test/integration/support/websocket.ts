/** A WebSocket client whose events can be awaited, and servers whose applications find the package ws. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { ClientOptions } from 'ws';
import { projectRoot, within, type HttpdServer } from '../harness/index.js';

/** Applications of this server can load the package ws. */
export function addWs(server: HttpdServer): void {
  cpSync(join(projectRoot, 'node_modules', 'ws'), join(server.root, 'node_modules', 'ws'), { recursive: true });
}

export interface Message {
  data: Buffer;
  binary: boolean;
}

/** What arrives is kept until somebody asks for it. */
export class WebSocketClient {
  readonly ws: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #messages: Message[] = [];
  readonly #waiting: ((message: Message) => void)[] = [];

  constructor(ws: WebSocket) {
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

  /** Rejects with the status when the answer is none of 101. */
  static async open(url: string, options: ClientOptions & { protocols?: string[] } = {}): Promise<WebSocketClient> {
    const { protocols = [], ...rest } = options;
    const ws = new WebSocket(url, protocols, { maxPayload: 64 * 1024 * 1024, perMessageDeflate: false, rejectUnauthorized: false, ...rest });
    const client = new WebSocketClient(ws);
    const opened = new Promise<void>((resolve, reject) => {
      ws.once('open', resolve);
      ws.once('error', reject);
      ws.once('unexpected-response', (_request, response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('close', () => {
          reject(Object.assign(new Error(`status ${response.statusCode}`), { status: response.statusCode, complete: response.complete, text: Buffer.concat(chunks).toString(), headers: response.headers }));
        });
      });
    });
    await within(15_000, `the WebSocket ${url}`, opened);
    return client;
  }

  /** On a stream of HTTP/2 after its answer to an extended CONNECT. */
  static on(stream: Duplex): WebSocketClient {
    const ws = new (WebSocket as unknown as new (address: null, protocols: undefined, options: object) => WebSocket)(null, undefined, { autoPong: true, closeTimeout: 10_000 });
    const internals = ws as unknown as { _isServer: boolean; setSocket(socket: Duplex, head: Buffer, options: object): void };
    internals._isServer = false;
    const client = new WebSocketClient(ws);
    internals.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 64 * 1024 * 1024, skipUTF8Validation: false });
    return client;
  }

  message(): Promise<Message> {
    const ready = this.#messages.shift();
    if (ready) return Promise.resolve(ready);
    return within(10_000, 'a message', new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async text(): Promise<string> {
    return (await this.message()).data.toString();
  }

  ask(text: string): Promise<string> {
    this.ws.send(text);
    return this.text();
  }

  end(milliseconds = 10_000): Promise<{ code: number; reason: string }> {
    return within(milliseconds, 'the end of the WebSocket', this.closed);
  }

  close(code?: number, reason?: string): Promise<{ code: number; reason: string }> {
    this.ws.close(code, reason);
    return this.end();
  }
}
