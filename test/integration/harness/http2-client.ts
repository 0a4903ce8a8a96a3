/** HTTP/2 over TLS, or over TCP with prior knowledge. */
import http2 from 'node:http2';

export interface Http2Response {
  status: number;
  headers: http2.IncomingHttpHeaders;
  body: Buffer;
  text: string;
  trailers: http2.IncomingHttpHeaders;
  /** The error code of RST_STREAM; 0 for a stream that ended in order. */
  resetCode: number;
  complete: boolean;
}

export class Http2Client {
  readonly session: http2.ClientHttp2Session;
  readonly #origin: string;

  private constructor(session: http2.ClientHttp2Session, origin: string) {
    this.session = session;
    this.#origin = origin;
  }

  static connect(origin: string): Promise<Http2Client> {
    return new Promise((resolve, reject) => {
      const session = http2.connect(origin, { rejectUnauthorized: false });
      session.once('error', reject);
      session.once('connect', () => {
        session.removeListener('error', reject);
        session.on('error', () => {});
        resolve(new Http2Client(session, origin));
      });
    });
  }

  /** Opens a stream; the caller drives it. */
  stream(path: string, headers: http2.OutgoingHttpHeaders = {}, endStream = false): http2.ClientHttp2Stream {
    return this.session.request(
      { ':path': path, ':method': 'GET', ':authority': new URL(this.#origin).host, ...headers },
      { endStream },
    );
  }

  /** One request and its whole response. */
  async request(
    path: string,
    options: { method?: string; headers?: http2.OutgoingHttpHeaders; body?: string | Uint8Array } = {},
  ): Promise<Http2Response> {
    const method = options.method ?? (options.body === undefined ? 'GET' : 'POST');
    const stream = this.stream(path, { ...options.headers, ':method': method }, options.body === undefined);
    if (options.body !== undefined) stream.end(options.body);
    return new Promise((resolve, reject) => {
      let headers: http2.IncomingHttpHeaders | undefined;
      let trailers: http2.IncomingHttpHeaders = {};
      let failure: Error | undefined;
      const chunks: Buffer[] = [];
      stream.on('response', (received) => (headers = received));
      stream.on('trailers', (received) => (trailers = received));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', (error) => (failure = error));
      stream.on('close', () => {
        if (!headers) return reject(failure ?? new Error(`the stream of ${path} ended without a response`));
        const body = Buffer.concat(chunks);
        resolve({
          status: Number(headers[':status']),
          headers,
          body,
          text: body.toString('utf8'),
          trailers,
          resetCode: stream.rstCode ?? 0,
          complete: failure === undefined && (stream.rstCode ?? 0) === 0,
        });
      });
    });
  }

  close(): void {
    this.session.destroy();
  }
}
