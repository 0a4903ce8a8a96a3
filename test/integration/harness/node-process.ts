/** An application in a Node process of its own: how it is meant to behave. */
import { spawn, type ChildProcess } from 'node:child_process';
import { freePorts, isListening } from './ports.js';
import { waitFor } from './wait.js';

export class NodeProcess {
  port = 0;
  #child: ChildProcess | undefined;
  #output = '';

  /** Starts `script`, which listens on $PORT. */
  async start(script: string, env: NodeJS.ProcessEnv = {}): Promise<this> {
    const [port = 0] = await freePorts(1);
    this.port = port;
    const child = spawn(process.execPath, [script], { env: { ...process.env, ...env, PORT: String(port) }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (this.#output += text.toString()));
    await waitFor(`${script} to listen on port ${port}`, () => {
      if (child.exitCode !== null) throw new Error(`${script} ended with ${child.exitCode}:\n${this.#output}`);
      return isListening(port);
    });
    return this;
  }

  get output(): string {
    return this.#output;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
