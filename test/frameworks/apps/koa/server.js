'use strict';

const { createReadStream } = require('node:fs');
const { PassThrough } = require('node:stream');
const { setTimeout: sleep } = require('node:timers/promises');
const Koa = require('koa');
const Router = require('@koa/router');
const bodyParser = require('koa-bodyparser');
const { createSession } = require('koa-session');

const app = new Koa();
const router = new Router();
const aborted = [];

app.keys = ['a secret'];

app.use(async (ctx, next) => {
  const start = Date.now();
  await next();
  ctx.set('X-Response-Time', `${Date.now() - start}ms`);
});

app.use(async (ctx, next) => {
  try {
    await next();
  } catch (error) {
    if (!error.expose) throw error;
    ctx.status = error.status;
    ctx.body = { error: error.message };
  }
});

app.use(createSession({ key: 'koa.session' }, app));
app.use(bodyParser({ jsonLimit: '20mb' }));

router.get('/', (ctx) => {
  ctx.body = 'Hello from Koa';
});
router.get('/json', (ctx) => {
  ctx.body = { url: ctx.url, originalUrl: ctx.originalUrl, host: ctx.host, ip: ctx.ip, protocol: ctx.protocol, writable: ctx.writable };
});
router.post('/body', (ctx) => {
  ctx.status = 201;
  ctx.body = { got: ctx.request.body };
});
router.post('/length', (ctx) => {
  ctx.body = { length: JSON.stringify(ctx.request.body).length };
});
router.get('/file', (ctx) => {
  ctx.type = 'text/javascript';
  ctx.body = createReadStream(__filename);
});
router.get('/stream', async (ctx) => {
  const stream = new PassThrough();
  ctx.type = 'text/plain';
  ctx.body = stream;
  (async () => {
    for (let i = 0; i < 5; i++) {
      stream.write(`line ${i}\n`);
      await sleep(150);
    }
    stream.end();
  })();
});
router.get('/endless/:id', (ctx) => {
  const stream = new PassThrough();
  ctx.body = stream;
  stream.write('begun\n');
  ctx.res.on('close', () => aborted.push(ctx.params.id));
});
router.get('/aborted', (ctx) => {
  ctx.body = aborted;
});
router.get('/session', (ctx) => {
  ctx.session.views = (ctx.session.views ?? 0) + 1;
  ctx.body = { views: ctx.session.views };
});
router.get('/redirect', (ctx) => ctx.redirect('/json'));
router.get('/empty', (ctx) => {
  ctx.body = null;
});
router.get('/fresh', (ctx) => {
  ctx.status = 200;
  ctx.etag = 'constant';
  ctx.body = 'fresh?';
  if (ctx.fresh) ctx.status = 304;
});
router.get('/teapot', (ctx) => ctx.throw(418, 'short and stout'));
router.get('/error', () => {
  throw new Error('not for the client');
});
router.get('/raw', (ctx) => {
  ctx.respond = false;
  ctx.res.writeHead(202, 'Taken Over', { 'X-Raw': 'yes' });
  ctx.res.end('by hand');
});
router.get('/status-message', (ctx) => {
  ctx.status = 200;
  ctx.message = 'Very Well';
  ctx.body = 'ok';
});

app.use(router.routes()).use(router.allowedMethods());
app.on('error', () => {});

app.listen(process.env.PORT || 3000);
