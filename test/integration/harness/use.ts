/** Servers as vitest fixtures. */
import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import type { Mpm } from './configuration.js';
import { daemon } from './mode.js';
import { HttpdServer, type Options } from './server.js';

const wanted = process.env.NWSGI_TEST_MPM?.split(',') as Mpm[] | undefined;

/** The MPMs that tests run with; NWSGI_TEST_MPM=event,worker chooses. */
export const mpms: readonly Mpm[] = (['event', 'worker', 'prefork'] as const).filter((mpm) => wanted?.includes(mpm) ?? true);

/**
 * A block of tests for every MPM. In daemon mode it runs with the event MPM only, unless `everyMpm` says that it is about what
 * differs between MPMs there: a child's threads, signals and end. Then it runs with prefork, too; the worker MPM treats the
 * module as event does. All else happens in the worker process, and on a socket to it that all MPMs use alike.
 */
export function describeEachMpm(title: string, body: (mpm: Mpm) => void, { everyMpm = false } = {}): void {
  const ofDaemon = everyMpm ? ['event', 'prefork'] : ['event'];
  const chosen = daemon && wanted === undefined ? mpms.filter((mpm) => ofDaemon.includes(mpm)) : mpms;
  describe.each(chosen)(`${title} (%s)`, (mpm) => body(mpm));
}

/**
 * A server that runs for all tests of the enclosing block. When one of them fails, what the server logged during
 * that test is printed.
 */
export function useServer(options: Options = {}, prepare?: (server: HttpdServer) => void | Promise<void>): HttpdServer {
  const holder = new Lazy(options);
  let mark = 0;
  beforeAll(async () => {
    await prepare?.(holder.server);
    await holder.server.start();
  });
  beforeEach(({ onTestFailed }) => {
    mark = holder.server.mark();
    onTestFailed(() => {
      console.error(`error log of httpd (${holder.server.mpm}) during this test:\n${holder.server.log(mark)}`);
    });
  });
  afterAll(async () => holder.server.stop());
  return holder.proxy;
}

/** Makes the server at its first use, so that a block that is filtered out costs nothing. */
class Lazy {
  #server: HttpdServer | undefined;
  readonly #options: Options;
  readonly proxy: HttpdServer;

  constructor(options: Options) {
    this.#options = options;
    this.proxy = new Proxy({} as HttpdServer, {
      get: (_, name) => {
        const value: unknown = Reflect.get(this.server, name, this.server);
        return typeof value === 'function' ? value.bind(this.server) : value;
      },
    });
  }

  get server(): HttpdServer {
    this.#server ??= new HttpdServer(this.#options);
    return this.#server;
  }
}

/** Runs `body` with a server of its own, and stops that however it ends. */
export async function withServer<T>(options: Options, body: (server: HttpdServer) => Promise<T>): Promise<T> {
  const server = new HttpdServer(options);
  try {
    await server.start();
    const result = await body(server);
    await server.stop();
    return result;
  } catch (error) {
    const log = server.log();
    await server.kill();
    server.dispose();
    if (error instanceof Error) error.message += `\nerror log of httpd (${server.mpm}):\n${log}`;
    throw error;
  }
}

/** Runs `httpd -t` on a configuration. */
export async function configtest(options: Options): Promise<{ ok: boolean; output: string }> {
  const server = new HttpdServer(options);
  try {
    return await server.check();
  } finally {
    server.dispose();
  }
}
