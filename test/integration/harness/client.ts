/** An HTTP/1.1 client that reports what arrived, also when the response is cut off. */
import http from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';

export interface RequestOptions {
  method?: string;
  headers?: http.OutgoingHttpHeaders | readonly string[];
  /** A stream or async iterable is sent chunked unless Content-Length is given. */
  body?: string | Uint8Array | AsyncIterable<string | Uint8Array>;
  agent?: http.Agent;
  /** Milliseconds after which the request is given up: 20 s. */
  timeout?: number;
}

export interface HttpResponse {
  status: number;
  statusText: string;
  headers: http.IncomingHttpHeaders;
  /** Names and values in turn, as received. */
  rawHeaders: string[];
  /** All values of a header, in order. */
  all(name: string): string[];
  body: Buffer;
  text: string;
  json(): unknown;
  trailers: NodeJS.Dict<string>;
  /** False when the connection ended before the response did. */
  complete: boolean;
  /** The 1xx responses that came first. */
  interim: number[];
}

const isStream = (body: unknown): body is AsyncIterable<string | Uint8Array> =>
  typeof body === 'object' && body !== null && Symbol.asyncIterator in body;

/** Sends a request and resolves with the response as soon as its head is there. */
export function open(
  url: string,
  options: RequestOptions = {},
): Promise<{ request: http.ClientRequest; response: http.IncomingMessage; interim: number[] }> {
  return new Promise((resolve, reject) => {
    const { method = options.body === undefined ? 'GET' : 'POST', headers = {}, agent, timeout = 20_000 } = options;
    const settings: https.RequestOptions = {
      method,
      headers: headers as http.OutgoingHttpHeaders,
      rejectUnauthorized: false,
      // Without an agent the connection ends with the response: a kept one would hold a prefork child.
      agent: agent ?? false,
    };
    const interim: number[] = [];
    const request = (url.startsWith('https:') ? https : http).request(url, settings);
    request.setTimeout(timeout, () => request.destroy(new Error(`no answer to ${method} ${url} within ${timeout} ms`)));
    request.on('information', (info) => interim.push(info.statusCode));
    request.on('error', reject);
    request.on('response', (response) => {
      // Later errors belong to whoever reads the response.
      request.on('error', () => {});
      resolve({ request, response, interim });
    });
    if (isStream(options.body)) {
      Readable.from(options.body).on('error', (error) => request.destroy(error)).pipe(request);
    } else {
      request.end(options.body);
    }
  });
}

/** Sends a request and reads the whole response. */
export async function request(url: string, options: RequestOptions = {}): Promise<HttpResponse> {
  const { response, interim } = await open(url, options);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch {
    // response.complete tells.
  }
  const body = Buffer.concat(chunks);
  return {
    status: response.statusCode ?? 0,
    statusText: response.statusMessage ?? '',
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    all: (name) => valuesOf(response.rawHeaders, name),
    body,
    text: body.toString('utf8'),
    json: () => JSON.parse(body.toString('utf8')) as unknown,
    trailers: response.trailers,
    complete: response.complete,
    interim,
  };
}

export function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const wanted = name.toLowerCase();
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === wanted);
}
