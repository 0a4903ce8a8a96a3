'use strict';
// How a file of tests ended: its exit status as Node would report it, what it printed, and the tests in it.
const fs = require('node:fs');

const OUTPUT_LIMIT = 200_000;

class Outcome {
  constructor(job) {
    this.job = job;
    this.state = { ended: false, code: undefined, error: undefined, output: '', tests: [] };
    this.catchOutput('stdout');
    this.catchOutput('stderr');
    this.followExit();
    process.on('uncaughtExceptionMonitor', (error) => {
      this.state.error = describe(error);
      this.write();
    });
  }

  catchOutput(name) {
    const stream = process[name];
    const write = stream.write;
    stream.write = (chunk, ...rest) => {
      if (this.state.output.length < OUTPUT_LIMIT) this.state.output += String(chunk);
      return write.call(stream, chunk, ...rest);
    };
  }

  // Listeners of 'exit' may change the status, by throwing or by calling exit() themselves: what is known last is right.
  followExit() {
    const { exit, emit } = process;
    process.exit = (code) => {
      const status = code ?? process.exitCode ?? 0;
      this.ended(status);
      return exit.call(process, code);
    };
    process.emit = (event, ...values) => {
      if (event !== 'exit') return emit.call(process, event, ...values);
      try {
        const heard = emit.call(process, event, ...values);
        this.ended(process.exitCode ?? values[0] ?? 0);
        return heard;
      } catch (error) {
        this.state.error = describe(error);
        this.ended(1);
        throw error;
      }
    };
  }

  test(title, state, error) {
    this.state.tests.push({ title, state, error: error === undefined ? undefined : describe(error) });
  }

  ended(code) {
    this.state.ended = true;
    this.state.code = Number(code);
    this.write();
  }

  timedOut(active) {
    this.state.timeout = active;
    this.write();
  }

  write() {
    const draft = `${this.job.result}.draft`;
    fs.writeFileSync(draft, JSON.stringify(this.state));
    fs.renameSync(draft, this.job.result);
  }
}

function describe(error) {
  return error instanceof Error ? String(error.stack ?? error.message) : String(error);
}

exports.Outcome = Outcome;
