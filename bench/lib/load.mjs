// Load: wrk for many requests, curl for single large ones, and programs of the scenarios' own. All stay on the CPUs of the load.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { benchFolder } from './paths.mjs';

/** What load.lua printed; throws when wrk printed something else. */
export function parseWrk(text) {
  const line = /^figures (\{.*\})$/m.exec(text)?.[1];
  if (line === undefined) throw new Error(`wrk printed no figures:\n${text}`);
  return JSON.parse(line);
}

/** "3 timeout, 1 status"; empty when all went well. */
export const wrkErrors = (errors) =>
  Object.entries(errors)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');

export class Load {
  #cpus;
  #running = new Set();

  /** `cpus`: a list as of taskset; null leaves it to the system. */
  constructor(cpus) {
    this.#cpus = cpus;
  }

  /** Runs a program on the CPUs of the load; resolves with what it printed. */
  run(command, args, { timeout = 600_000 } = {}) {
    const words = [...(this.#cpus === null ? [] : ['taskset', '-c', this.#cpus]), command, ...args];
    // More connections than the usual limit of files.
    const child = spawn('/bin/sh', ['-c', 'ulimit -n "$(ulimit -H -n)"; exec "$@"', 'sh', ...words], { stdio: ['ignore', 'pipe', 'pipe'], timeout });
    this.#running.add(child);
    return new Promise((resolve, reject) => {
      let out = '';
      let said = '';
      child.stdout.on('data', (data) => (out += data));
      child.stderr.on('data', (data) => (said += data));
      child.on('error', reject);
      child.on('close', (code, signal) => {
        this.#running.delete(child);
        if (code === 0) resolve(out);
        else reject(new Error(`${command} ended with ${signal ?? code}: ${(said + out).trim().slice(-2000)}`));
      });
    });
  }

  /**
   * As many requests as go for some seconds. `pause`: milliseconds that each connection waits before each request; `timeout`: seconds.
   * @returns {Promise<{seconds: number, requests: number, bytes: number, p50: number, p99: number, p999: number, max: number,
   *   busy: number, errors: Record<string, number>}>} milliseconds; `busy`: seconds of CPU that wrk itself used
   */
  async wrk(url, { connections = 32, seconds = 1, method = 'GET', length = 0, pause = 0, timeout = 10, headers = {} } = {}) {
    const more = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const script = join(benchFolder, 'lib', 'load.lua');
    const options = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', `${timeout}s`, ...more, '-s', script];
    return parseWrk(await this.run('wrk', [...options, url, '--', method, String(length), String(pause)], { timeout: (seconds + timeout + 60) * 1000 }));
  }

  /** One request; `upload`: a file to send. Resolves with the seconds it took and the bytes received and sent. */
  async curl(url, { upload, timeout = 120, headers = {} } = {}) {
    const body = upload === undefined ? [] : ['-X', 'POST', '-T', upload, '-H', 'Expect:'];
    const more = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const format = '{"status":%{http_code},"received":%{size_download},"sent":%{size_upload},"seconds":%{time_total}}';
    return JSON.parse(await this.run('curl', ['-sS', '--max-time', String(timeout), ...body, ...more, '-o', '/dev/null', '-w', format, url]));
  }

  /** A script for node that prints one value as JSON. */
  async node(script, args = []) {
    return JSON.parse(await this.run(process.execPath, [script, ...args.map(String)]));
  }

  stop() {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}
