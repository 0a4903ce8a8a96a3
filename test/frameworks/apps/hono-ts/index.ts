import { Hono } from 'hono';
import { validator } from 'hono/validator';
import { Shop, type Article } from './shop.js';

type Variables = { shop: Shop };

const shop = new Shop();
const app = new Hono<{ Variables: Variables }>().basePath('/api');

app.use(async (c, next) => {
  c.set('shop', shop);
  await next();
});

const articles = new Hono<{ Variables: Variables }>()
  .get('/', (c) => c.json<readonly Article[]>(c.var.shop.all))
  .post(
    '/',
    validator('json', (value, c) => {
      const { name, price } = value as Partial<Article>;
      if (typeof name !== 'string' || typeof price !== 'number') return c.json({ error: 'name and price, please' }, 422);
      return { name, price } satisfies Article;
    }),
    (c) => c.json(c.var.shop.add(c.req.valid('json')), 201),
  );

app.route('/articles', articles);

export default app;
