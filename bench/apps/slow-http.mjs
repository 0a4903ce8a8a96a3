// Answers after a second; /N after N milliseconds.
import { createServer } from 'node:http';

createServer((req, res) => {
  setTimeout(() => res.setHeader('Content-Type', 'text/plain').end('Hello world\n'), Number(req.url.slice(1)) || 1000);
}).listen(process.env.PORT ?? 3000);
