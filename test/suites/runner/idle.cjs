'use strict';
// A process ends when nothing is left to do. An environment inside httpd goes on waiting for requests, so the end of a file
// of tests has to be found out: no server listens any more, and nothing but what was there before the test is active.

const net = require('node:net');

const PERIOD = 40;
const QUIET_PERIODS = 5;

exports.watch = function watch(servers, outcome, { framework, limit }) {
  const before = { handles: new Set(process._getActiveHandles()), resources: resources() };
  const started = Date.now();
  let quiet = 0;
  let told = false;
  const timer = setInterval(() => {
    const active = activeBeyond(before, servers);
    // Mocha knows its own end.
    quiet = framework !== 'mocha' && active.length === 0 ? quiet + 1 : 0;
    if (quiet >= QUIET_PERIODS) {
      if (told) {
        clearInterval(timer);
        process.exit();
      }
      // Listeners may find more to do, as in a process that is about to end.
      told = true;
      quiet = 0;
      process.emit('beforeExit', process.exitCode ?? 0);
    }
    if (Date.now() - started > limit) {
      clearInterval(timer);
      outcome.timedOut(active);
      process.exit(124);
    }
  }, PERIOD);
  timer.unref();
};

/** Requests of libuv and timers, of which Node tells only the names. */
function resources() {
  const counts = { timers: 0, requests: process._getActiveRequests().length };
  for (const name of process.getActiveResourcesInfo()) if (name === 'Timeout' || name === 'Immediate') counts.timers += 1;
  return counts;
}

function activeBeyond(before, servers) {
  const now = resources();
  const handles = process._getActiveHandles().filter((handle) => !before.handles.has(handle) && keepsAlive(handle));
  return [
    ...handles.map((handle) => handle.constructor.name),
    ...Object.keys(now).filter((kind) => now[kind] > before.resources[kind]),
    ...[...servers].filter((server) => server.listening).map((server) => `server at ${JSON.stringify(server.address())}`),
  ];
}

/** A socket keeps a process alive while it reads or writes, not by being open. */
function keepsAlive(handle) {
  if (!(handle instanceof net.Socket)) return true;
  return (handle.writableLength > 0 && !handle.connecting) || (handle._handle?.reading === true && !handle._readableState.ended);
}
