import { createServer } from 'node:http';

createServer((req, res) => {
  if (req.url === '/') res.setHeader('Content-Type', 'text/plain').end('Hello world\n');
  else res.setHeader('Content-Type', 'application/json').end(JSON.stringify({ id: req.url.slice(7), name: 'Ada' }));
}).listen(process.env.PORT ?? 3000);
