/** An application under plain `node`: what it does there is what is expected of it in Apache. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { dirname } from 'node:path';
import { daemon, freePorts, isListening, waitFor } from '../../integration/harness/index.js';
import type { App } from './apps.js';

/** `node` of the version that Apache embeds, if the test scripts made it. */
export const node = process.env.NWSGI_TEST_NODE ?? process.execPath;

/** Major version of the Node that runs applications in Apache; in a process group that is the one in PATH, or NWSGI_TEST_WORKER_NODE. */
export const nodeMajor = Number(/^v(\d+)/.exec(spawnSync(daemon ? (process.env.NWSGI_TEST_WORKER_NODE ?? 'node') : node, ['--version'], { encoding: 'utf8' }).stdout)?.[1]);

const live = new Set<ChildProcess>();
process.on('exit', () => live.forEach((child) => child.kill('SIGKILL')));

export class NodeProcess {
  readonly #app: App;
  #child: ChildProcess | undefined;
  #output = '';
  port = 0;

  constructor(app: App) {
    this.#app = app;
  }

  /** What it wrote to its terminal. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    const { script, nodeScript = script, nodeArguments = [] } = this.#app;
    [this.port] = (await freePorts(1)) as [number];
    const child = spawn(node, [...nodeArguments, nodeScript], {
      cwd: dirname(nodeScript),
      env: { PATH: process.env.PATH, LANG: 'C.UTF-8', NODE_ENV: 'production', PORT: String(this.port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    live.add(child);
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (this.#output += chunk));
    const probe = () => {
      if (child.exitCode !== null) throw new Error(`node ended with ${child.exitCode}:\n${this.#output}`);
      return isListening(this.port);
    };
    await waitFor(`node ${nodeScript} to listen`, probe, 20_000);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exit;
    live.delete(child);
  }
}
