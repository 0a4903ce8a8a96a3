/** A client that sees bytes: for requests that no HTTP library sends and for responses that end too early. */
import net from 'node:net';
import tls from 'node:tls';

export interface RawResponse {
  version: string;
  status: number;
  reason: string;
  /** In order, names as sent. */
  headers: [string, string][];
  /** First value of a header, or undefined. */
  header(name: string): string | undefined;
  all(name: string): string[];
  body: Buffer;
  text: string;
  trailers: [string, string][];
  /** Where the body ended: by Content-Length, the last chunk, the end of the connection, or having none. */
  framing: 'length' | 'chunked' | 'close' | 'none';
  /** False when the connection ended inside a body that Content-Length or chunking frames. */
  complete: boolean;
  /** The response as it was on the wire. */
  raw: Buffer;
}

export class RawClient {
  #socket: net.Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void)[] = [];

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    const wakeAll = () => this.#wake.splice(0).forEach((wake) => wake());
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      wakeAll();
    });
    socket.on('end', () => {
      this.#ended = true;
      wakeAll();
    });
    socket.on('error', (error) => {
      this.#error = error;
      this.#ended = true;
      wakeAll();
    });
    socket.on('close', () => {
      this.#ended = true;
      wakeAll();
    });
  }

  static connect(port: number, options: { tls?: boolean; alpn?: string[] } = {}): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket: net.Socket = options.tls
        ? tls.connect({
            port,
            host: '127.0.0.1',
            servername: 'localhost',
            rejectUnauthorized: false,
            ALPNProtocols: options.alpn ?? ['http/1.1'],
            allowHalfOpen: true,
          } as tls.ConnectionOptions)
        : net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.once('error', reject);
      socket.once(options.tls ? 'secureConnect' : 'connect', () => {
        socket.removeListener('error', reject);
        resolve(new RawClient(socket));
      });
    });
  }

  get socket(): net.Socket {
    return this.#socket;
  }

  /** Everything received and not yet taken by a read. */
  get pending(): Buffer {
    return this.#received;
  }

  /** True when the server has closed its side (or reset the connection). */
  get ended(): boolean {
    return this.#ended;
  }

  /** The connection's error, e.g. ECONNRESET. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Writes bytes; resolves when the kernel has taken them. Lines of a template may be joined with `crlf`. */
  send(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  /** Closes our side for writing (FIN); reading goes on. */
  halfClose(): void {
    this.#socket.end();
  }

  /** Ends the connection with RST. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Ends the connection with FIN. */
  close(): void {
    this.#socket.destroy();
  }

  /** Stops reading from the socket, so that the server's sends block. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Reads up to and including `pattern` and returns that; rejects when the connection ends or time is up first. */
  async readUntil(pattern: string | Buffer, milliseconds = 10_000): Promise<Buffer> {
    const end = performance.now() + milliseconds;
    for (;;) {
      const index = this.#received.indexOf(pattern, 0, 'latin1');
      if (index >= 0) return this.#take(index + pattern.length);
      await this.#more(end, `"${String(pattern)}"`);
    }
  }

  /** Reads exactly `count` bytes. */
  async readBytes(count: number, milliseconds = 10_000): Promise<Buffer> {
    const end = performance.now() + milliseconds;
    while (this.#received.length < count) await this.#more(end, `${count} bytes`);
    return this.#take(count);
  }

  /** Reads until the server ends the connection. */
  async readAll(milliseconds = 10_000): Promise<Buffer> {
    const end = performance.now() + milliseconds;
    while (!this.#ended) await this.#more(end, 'the end of the connection', false);
    return this.#take(this.#received.length);
  }

  /** Resolves when the server has ended the connection, whatever it sent. */
  async waitForEnd(milliseconds = 10_000): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!this.#ended) await this.#more(end, 'the end of the connection', false);
  }

  /**
   * Reads one response. Further ones on the same connection are read by calling it again.
   * @param options.method the request's method: a response to HEAD has no body
   */
  async readResponse(options: { method?: string; milliseconds?: number } = {}): Promise<RawResponse> {
    const end = performance.now() + (options.milliseconds ?? 10_000);
    const left = () => Math.max(1, end - performance.now());
    const head = await this.readUntil('\r\n\r\n', left());
    const [statusLine = '', ...lines] = head.toString('latin1').slice(0, -4).split('\r\n');
    const match = /^(HTTP\/\d\.\d) (\d{3}) ?(.*)$/.exec(statusLine);
    if (!match) throw new Error(`no status line: ${JSON.stringify(statusLine)}`);
    const headers = lines.map(splitHeader);
    const status = Number(match[2]);
    const all = (name: string) => headers.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
    const raw = [head];
    const body: Buffer[] = [];
    let trailers: [string, string][] = [];
    let framing: RawResponse['framing'];
    let complete = true;
    const length = all('content-length')[0];
    if (options.method === 'HEAD' || status < 200 || status === 204 || status === 304) {
      framing = 'none';
    } else if (/chunked/i.test(all('transfer-encoding')[0] ?? '')) {
      framing = 'chunked';
      const result = await this.#readChunks(raw, body, left);
      complete = result !== undefined;
      trailers = result ?? [];
    } else if (length !== undefined) {
      framing = 'length';
      const wanted = Number(length);
      while (this.#received.length < wanted && !this.#ended) await this.#more(end, `${wanted} bytes of body`, false);
      complete = this.#received.length >= wanted;
      const bytes = this.#take(Math.min(wanted, this.#received.length));
      raw.push(bytes);
      body.push(bytes);
    } else {
      framing = 'close';
      const bytes = await this.readAll(left());
      raw.push(bytes);
      body.push(bytes);
    }
    const content = Buffer.concat(body);
    return {
      version: match[1] as string,
      status,
      reason: match[3] as string,
      headers,
      header: (name) => all(name)[0],
      all,
      body: content,
      text: content.toString('utf8'),
      trailers,
      framing,
      complete,
      raw: Buffer.concat(raw),
    };
  }

  /** Reads responses up to and including the first that is not 1xx. */
  async readFinalResponse(
    options: { method?: string; milliseconds?: number } = {},
  ): Promise<{ interim: RawResponse[]; response: RawResponse }> {
    const interim: RawResponse[] = [];
    for (;;) {
      const response = await this.readResponse(options);
      if (response.status >= 200 || response.status === 101) return { interim, response };
      interim.push(response);
    }
  }

  /** Trailers, or undefined when the connection ended before the last chunk. */
  async #readChunks(raw: Buffer[], body: Buffer[], left: () => number): Promise<[string, string][] | undefined> {
    const line = async () => {
      const bytes = await this.readUntil('\r\n', left());
      raw.push(bytes);
      return bytes.toString('latin1').slice(0, -2);
    };
    try {
      for (;;) {
        const size = Number.parseInt(await line(), 16);
        if (Number.isNaN(size)) return undefined;
        if (size === 0) break;
        const bytes = await this.readBytes(size, left());
        raw.push(bytes);
        body.push(bytes);
        if ((await line()) !== '') return undefined;
      }
      const trailers: [string, string][] = [];
      for (let text = await line(); text !== ''; text = await line()) trailers.push(splitHeader(text));
      return trailers;
    } catch (error) {
      if (!this.#ended) throw error;
      // What arrived of the chunk that was cut off.
      const rest = this.#take(this.#received.length);
      raw.push(rest);
      body.push(rest);
      return undefined;
    }
  }

  #take(count: number): Buffer {
    const bytes = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return bytes;
  }

  /** Waits for more bytes or the end of the connection. */
  async #more(deadline: number, what: string, endIsError = true): Promise<void> {
    if (this.#ended) {
      if (!endIsError) return;
      const cause = this.#error ? ` (${this.#error.message})` : '';
      throw new Error(`the connection ended${cause} before ${what}; received: ${JSON.stringify(preview(this.#received))}`);
    }
    const left = deadline - performance.now();
    if (left <= 0) throw new Error(`no ${what} in time; received: ${JSON.stringify(preview(this.#received))}`);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      this.#wake.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

const preview = (bytes: Buffer) => bytes.subarray(0, 500).toString('latin1');

function splitHeader(line: string): [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

/** Joins the lines of a request head with CRLF and ends it. */
export const head = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
