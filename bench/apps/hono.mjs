import { Hono } from 'hono';

const app = new Hono();
app.get('/', (c) => c.text('Hello world\n'));
app.get('/users/:id', (c) => c.json({ id: c.req.param('id'), name: 'Ada' }));
export default app;
