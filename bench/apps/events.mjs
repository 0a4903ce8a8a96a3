// /events: server-sent events, one each second, which says when it was due (nanoseconds of the monotonic clock, which all processes share).
const INTERVAL = 1_000_000_000n;

const wait = (until) => new Promise((resolve) => setTimeout(resolve, Number(until - process.hrtime.bigint()) / 1e6));

async function* events() {
  for (let due = process.hrtime.bigint(); ; due += INTERVAL) {
    await wait(due);
    yield `data: ${due}\n\n`;
  }
}

export function application(environ, startResponse) {
  if (environ.PATH_INFO !== '/events') {
    startResponse('200 OK', [['Content-Type', 'text/plain']]);
    return ['Hello world\n'];
  }
  startResponse('200 OK', [['Content-Type', 'text/event-stream']]);
  return events();
}
