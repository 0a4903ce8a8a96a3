// The same bodies from node:http.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { pipeline } from 'node:stream';

const sizes = { '/10k': Buffer.alloc(10 * 1024, 'x'), '/1m': Buffer.alloc(1024 * 1024, 'x') };
const chunk = Buffer.alloc(64 * 1024, 'x');
const gibibyte = new URL('../gibibyte', import.meta.url);
const type = { 'Content-Type': 'application/octet-stream' };

async function stream(res) {
  res.writeHead(200, { ...type, 'Content-Length': 2 ** 30 });
  for (let index = 0; index < 16384; index += 1) if (!res.write(chunk)) await once(res, 'drain');
  res.end();
}

function upload(req, res) {
  let length = 0;
  req.on('data', (part) => (length += part.length));
  req.on('end', () => res.writeHead(200, { 'Content-Type': 'text/plain' }).end(`${length}\n`));
}

createServer((req, res) => {
  if (req.url === '/upload') upload(req, res);
  else if (req.url === '/stream') stream(res).catch(() => res.destroy());
  else if (req.url === '/file') pipeline(createReadStream(gibibyte, { highWaterMark: 65536 }), res.writeHead(200, { ...type, 'Content-Length': 2 ** 30 }), () => {});
  else {
    const body = sizes[req.url] ?? Buffer.from('Hello world\n');
    res.writeHead(200, { ...type, 'Content-Length': body.length }).end(body);
  }
}).listen(process.env.PORT ?? 3000);
