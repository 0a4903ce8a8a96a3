// events.mjs URL STREAMS SECONDS: reads that many streams of server-sent events at once (bench/apps/events.mjs) and prints how late
// the events came: those of the seconds after all streams are open.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [address, streams, seconds] = process.argv.slice(2);
const url = new URL(address);
const request = `GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: text/event-stream\r\n\r\n`;
/** Streams that are opened in a second: slowly enough that their events are spread over the seconds as those of strangers are. */
const OPENING = 2500;

const lags = [];
const errors = new Map();
let measuring = false;
let ended = false;

const fault = (what) => {
  if (!ended) errors.set(what, (errors.get(what) ?? 0) + 1);
};

class Stream {
  /** Events that came while `measuring`. */
  events = 0;
  #head = true;
  #rest = '';

  /** Resolves with the first event, or when there will be none. */
  open() {
    return new Promise((resolve) => {
      this.socket = connect({ host: url.hostname, port: Number(url.port) }, () => this.socket.write(request));
      this.socket.setEncoding('latin1');
      this.socket.on('data', (text) => {
        this.#take(text);
        resolve();
      });
      this.socket.on('error', ({ code }) => fault(code));
      this.socket.on('close', () => {
        fault('closed');
        resolve();
      });
    });
  }

  #take(text) {
    const now = process.hrtime.bigint();
    const all = this.#rest + text;
    if (this.#head) {
      this.#head = false;
      if (!all.startsWith('HTTP/1.1 200')) fault(all.slice(9, 12));
    }
    let from = 0;
    for (let at; (at = all.indexOf('data: ', from)) >= 0; ) {
      const end = all.indexOf('\n\n', at);
      if (end < 0) break;
      if (measuring) {
        lags.push(Number(now - BigInt(all.slice(at + 6, end))) / 1e6);
        this.events += 1;
      }
      from = end + 2;
    }
    // A chunk's size may stand between; what is kept is the begin of an event.
    const begin = all.indexOf('data: ', from);
    this.#rest = begin >= 0 ? all.slice(begin) : '';
  }
}

const all = Array.from({ length: Number(streams) }, () => new Stream());
const began = performance.now();
const opened = [];
while (opened.length < all.length) {
  const due = Math.ceil(((performance.now() - began) / 1000) * OPENING);
  while (opened.length < Math.min(due, all.length)) opened.push(all[opened.length].open());
  await sleep(5);
}
await Promise.all(opened);
await sleep(1500);
measuring = true;
await sleep(Number(seconds) * 1000);
measuring = false;
ended = true;
// One event may lie before the first second and one behind the last.
for (const { events } of all) if (events < Number(seconds) - 1) errors.set('missing events', (errors.get('missing events') ?? 0) + 1);
lags.sort((a, b) => a - b);
const at = (share) => lags[Math.min(lags.length - 1, Math.floor(lags.length * share))] ?? 0;
console.log(JSON.stringify({ events: lags.length, p50: at(0.5), p99: at(0.99), max: at(1), errors: Object.fromEntries(errors) }));
process.exit(0);
