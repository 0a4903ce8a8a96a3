import { createHash } from 'node:crypto';
import { Hono } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { HTTPException } from 'hono/http-exception';
import { secureHeaders } from 'hono/secure-headers';
import { stream, streamSSE, streamText } from 'hono/streaming';

const app = new Hono();
const aborted = [];

app.use(secureHeaders());
app.use('/api/*', cors({ origin: 'https://example.com' }));

app.get('/', (c) => c.text('Hello from Hono'));
app.get('/request', (c) => {
  const { method, url, path } = c.req;
  return c.json({ method, url, path, query: c.req.query(), headers: c.req.header() });
});
app.get('/users/:id', (c) => c.json({ id: c.req.param('id') }));
app.post('/json', async (c) => c.json({ got: await c.req.json() }, 201));
app.post('/form', async (c) => c.json({ got: await c.req.parseBody() }));
app.post('/upload', async (c) => {
  const { file, title } = await c.req.parseBody();
  const bytes = Buffer.from(await file.arrayBuffer());
  return c.json({ name: file.name, type: file.type, title, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
});
app.post('/echo', (c) => c.body(c.req.raw.body, 200, { 'Content-Type': 'application/octet-stream' }));
app.get('/stream', (c) =>
  streamText(c, async (out) => {
    for (let i = 0; i < 5; i++) {
      await out.writeln(`line ${i}`);
      await out.sleep(150);
    }
  }),
);
app.get('/large', (c) =>
  stream(c, async (out) => {
    const block = new Uint8Array(64 * 1024).fill(120);
    for (let i = 0; i < 256; i++) await out.write(block);
  }),
);
app.get('/events', (c) =>
  streamSSE(c, async (out) => {
    for (let id = 0; id < 5; id++) {
      await out.writeSSE({ id: String(id), event: 'tick', data: `event ${id}` });
      await out.sleep(150);
    }
  }),
);
app.get('/endless/:id', (c) => {
  const id = c.req.param('id');
  return stream(c, async (out) => {
    out.onAbort(() => aborted.push(id));
    while (!out.aborted) {
      await out.write('more\n');
      await out.sleep(50);
    }
  });
});
app.get('/aborted', (c) => c.json(aborted));
app.get('/cookies', (c) => {
  setCookie(c, 'one', '1', { httpOnly: true });
  setCookie(c, 'two', '2');
  return c.json(getCookie(c));
});
app.get('/etag', etag(), (c) => c.text('the same text every time'));
app.get('/redirect', (c) => c.redirect('/users/7'));
app.get('/html', (c) => c.html('<h1>Hi</h1>'));
app.get('/no-content', (c) => c.body(null, 204));
app.get('/api/cors', (c) => c.json({ ok: true }));
app.get('/teapot', () => {
  throw new HTTPException(418, { message: 'short and stout' });
});
app.get('/error', () => {
  throw new Error('it failed');
});
app.onError((error, c) => {
  if (error instanceof HTTPException) return error.getResponse();
  return c.json({ error: error.message }, 500);
});
app.notFound((c) => c.json({ error: 'nothing here' }, 404));

export default app;
