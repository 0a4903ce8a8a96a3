/** A worker process without a supervisor of its own: the test is it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import type { FromWorker, ServedScript, ToWorker, WorkerConfig } from '../../../src/supervisor/messages.js';
import { root } from './gateway.js';

export interface WorkerOptions {
  /** NWSGI_TEST_WORKER_NODE, or the one that runs the tests. */
  node?: string;
  /** The compiled gateway. */
  gateway: string;
  bridge?: string;
  script?: Partial<ServedScript> & { path: string };
  config?: Partial<WorkerConfig>;
  env?: Record<string, string>;
}

export class TestWorker {
  readonly messages: FromWorker[] = [];
  log = '';
  readonly child: ChildProcess;
  readonly port: number;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  #gone = false;
  #news: () => void = () => undefined;

  constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
    child.on('message', (message) => {
      this.messages.push(message as FromWorker);
      this.#news();
    });
    const take = (text: Buffer): void => {
      this.log += text.toString();
      this.#news();
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    this.exited = new Promise((resolve) => {
      // Not 'close', which does not come when the test has disconnected the channel. The last lines may come later.
      child.on('exit', (code, signal) => setTimeout(() => {
        this.#gone = true;
        this.#news();
        resolve({ code, signal });
      }, 50));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  send(message: ToWorker): void {
    this.child.send({ cmd: 'NODE_NWSGI', ...message });
  }

  /** Resolves when `found` returns something, fails after a few seconds with all that the worker said. */
  async until<T>(found: () => T | undefined, milliseconds = 10_000): Promise<T> {
    const deadline = Date.now() + milliseconds;
    for (;;) {
      const value = found();
      if (value !== undefined) return value;
      if (this.#gone || Date.now() > deadline) throw new Error(`nothing came; messages ${JSON.stringify(this.messages)}, log:\n${this.log}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.#news = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  message<K extends FromWorker['type']>(type: K): Promise<Extract<FromWorker, { type: K }>> {
    return this.until(() => this.messages.find((message): message is Extract<FromWorker, { type: K }> => message.type === type));
  }

  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.exited;
  }
}

export const withoutRequests = join(root, 'test/unit/fixtures/worker/addon-without-requests.cjs');

/** Starts a worker that serves HTTP at a port of its own if there is a `script`; resolves when it is ready. */
export async function startWorker(options: WorkerOptions): Promise<TestWorker> {
  const { node = process.env.NWSGI_TEST_WORKER_NODE ?? process.execPath, gateway, bridge = withoutRequests, script, env } = options;
  const listener = script === undefined ? undefined : await listen();
  const stdio: (number | 'ignore' | 'pipe' | 'ipc')[] = ['ignore', 'pipe', 'pipe', 'ipc', 'ignore'];
  if (listener !== undefined) stdio.push((listener as Server & { _handle: { fd: number } })._handle.fd);
  const child = spawn(node, [join(gateway, 'worker/main.cjs')], { stdio, env: { ...process.env, NODE_OPTIONS: '', ...env } });
  const port = listener === undefined ? 0 : (listener.address() as AddressInfo).port;
  // The worker has its own copy of the descriptor.
  listener?.close();
  const worker = new TestWorker(child, port);
  const config: WorkerConfig = {
    slot: 0, generation: 1, applicationGroup: 'test|', processGroup: 'test', serverSoftware: 'nwsgi/test', bridge, home: '', displayName: '', preload: [], python: {},
    listen: listener === undefined ? [] : [{ fd: 5, protocol: 'http', description: `127.0.0.1:${port}` }],
    script: script === undefined ? null : { callable: 'application', type: 'auto', mount: '', ...script },
    shutdownTimeout: 2_000, gracefulTimeout: 5_000, socketTimeout: 0, requestTimeout: 0, threads: 256, logLevel: 7,
    ...options.config,
  };
  if (script !== undefined && config.preload.length === 0) {
    config.preload = [{ script: script.path, callable: script.callable ?? 'application', type: script.type ?? 'auto', reloading: true, environment: '' }];
  }
  worker.send({ type: 'start', config });
  await worker.message('ready');
  return worker;
}

function listen(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
