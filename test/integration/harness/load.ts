/** A steady load that notices every lost request. */
import http from 'node:http';

export interface LoadResult {
  requests: number;
  /** What went wrong, one line for each request that did not get a complete 2xx answer (at most 20 are kept). */
  failures: string[];
  failed: number;
  seconds: number;
  /** Slowest answer in milliseconds. */
  slowest: number;
}

export interface Load {
  /** Requests answered so far. */
  readonly requests: number;
  stop(): Promise<LoadResult>;
}

/**
 * Requests `path` over and over with `connections` clients at a time until {@link Load.stop} is called. Each request
 * has a connection of its own unless `keepAlive` is set: httpd may close a kept connection just when the next request is sent,
 * which is not a lost request but cannot be told from one.
 */
export function startLoad(
  server: { url(path: string): string },
  path: string,
  options: { connections?: number; keepAlive?: boolean; check?: (body: string) => boolean } = {},
): Load {
  const { connections = 4, keepAlive = false, check = () => true } = options;
  const agent = new http.Agent({ keepAlive, maxSockets: connections });
  const result: LoadResult = { requests: 0, failures: [], failed: 0, seconds: 0, slowest: 0 };
  const start = performance.now();
  let stopping = false;
  const client = async () => {
    while (!stopping) {
      const began = performance.now();
      const problem = await once(server.url(path), agent, check);
      result.requests += 1;
      result.slowest = Math.max(result.slowest, performance.now() - began);
      if (problem === undefined) continue;
      result.failed += 1;
      if (result.failures.length < 20) result.failures.push(`after ${((began - start) / 1000).toFixed(1)} s: ${problem}`);
    }
  };
  const clients = Array.from({ length: connections }, client);
  return {
    get requests() {
      return result.requests;
    },
    async stop() {
      stopping = true;
      await Promise.all(clients);
      agent.destroy();
      result.seconds = (performance.now() - start) / 1000;
      return result;
    },
  };
}

/** What was wrong with one request, or undefined. */
function once(url: string, agent: http.Agent, check: (body: string) => boolean): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = http.get(url, { agent, timeout: 30_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('close', () => {
        const status = response.statusCode ?? 0;
        if (!response.complete) resolve(`status ${status}, cut off after ${body.length} characters`);
        else if (status < 200 || status > 299) resolve(`status ${status}`);
        else if (!check(body)) resolve(`unexpected body ${JSON.stringify(body.slice(0, 80))}`);
        else resolve(undefined);
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer within 30 s')));
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
