/**
 * The supervisor of a process group as httpd's parent starts it: `node main.js --config-fd N`. Reads its configuration from
 * that descriptor, runs until it is told to stop, exits with 0; with 78 when the configuration cannot work.
 */
import { readSync } from 'node:fs';
import { completeConfig } from './config.js';
import type { SupervisorConfig } from './config.js';
import { errorLog, LogLevel } from './log.js';
import { EXIT_UNUSABLE } from './messages.js';
import { Code } from './problems.js';
import { obeySignals } from './signals.js';
import { runSupervisor } from './supervisor.js';

const PAUSE = 5;

function main(): void {
  const log = errorLog(LogLevel.notice);
  const fail = (code: string, text: string, exitCode: number): never => {
    log.write(LogLevel.critical, `${code} ${text}`);
    process.exit(exitCode);
  };
  process.on('uncaughtException', (error) => fail(Code.fault, `The supervisor failed; its workers finish their requests: ${error.stack ?? error.message}`, 1));
  try {
    const config = readConfig();
    process.title = `nwsgi: supervisor ${config.name}`;
    const supervisor = runSupervisor(config);
    obeySignals(supervisor);
    void supervisor.stopped.then(() => process.exit(0));
  } catch (error) {
    fail(Code.configRefused, `The process group cannot be started: ${(error as Error).message}`, EXIT_UNUSABLE);
  }
}

function readConfig(): SupervisorConfig {
  const at = process.argv.indexOf('--config-fd');
  const fd = Number(process.argv[at + 1]);
  if (at < 0 || !Number.isInteger(fd)) throw new Error('--config-fd N is missing');
  return completeConfig(JSON.parse(readAll(fd)));
}

/** Until the end of file; the descriptor may be one that does not block. */
function readAll(fd: number): string {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(65_536);
    try {
      const length = readSync(fd, chunk);
      if (length === 0) return Buffer.concat(chunks).toString();
      chunks.push(chunk.subarray(0, length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE);
    }
  }
}

main();
