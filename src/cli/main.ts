#!/usr/bin/env node
/** The command `nwsgi`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeFailure, runProgram } from './program.js';
import { gatewayDirectory } from './support.js';
import { terminal } from './terminal.js';

const { version } = JSON.parse(readFileSync(join(gatewayDirectory, '..', 'package.json'), 'utf8')) as { version: string };

let exitCode: number;
try {
  exitCode = await runProgram(process.argv.slice(2), version, {
    // Loaded when it is asked for: --help need not wait for it.
    serve: async (script, options) => (await import('./serve.js')).serve(script, options, version),
    reload: async (pidFile) => (await import('./reload.js')).reload(pidFile),
  });
} catch (error) {
  const failure = describeFailure(error);
  terminal.write(`${failure.text}\n`);
  if (terminal.redirected) process.stderr.write(`${failure.text}\n`);
  exitCode = failure.exitCode;
}
// Not process.exit(): what was written to a pipe is to arrive.
process.exitCode = exitCode;
