import fastify from 'fastify';

const app = fastify();
app.get('/', async () => 'Hello world\n');
app.get('/users/:id', async (request) => ({ id: request.params.id, name: 'Ada' }));
await app.listen({ port: Number(process.env.PORT ?? 3000) });
