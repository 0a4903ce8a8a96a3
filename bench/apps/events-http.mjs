// As events.mjs, with node:http.
import { createServer } from 'node:http';

const INTERVAL = 1_000_000_000n;

createServer((req, res) => {
  if (req.url !== '/events') return res.end('Hello world\n');
  let due = process.hrtime.bigint();
  let timer;
  const send = () => {
    res.write(`data: ${due}\n\n`);
    due += INTERVAL;
    timer = setTimeout(send, Number(due - process.hrtime.bigint()) / 1e6);
  };
  res.writeHead(200, { 'Content-Type': 'text/event-stream' });
  res.on('close', () => clearTimeout(timer));
  return send();
}).listen(process.env.PORT ?? 3000);
