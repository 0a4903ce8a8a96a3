/** A few items, with schemas for what goes in and what comes out. */
export default async function items(fastify) {
  const list = [{ id: 1, name: 'first', secret: 'never sent' }];

  const item = { type: 'object', properties: { id: { type: 'integer' }, name: { type: 'string' } } };

  fastify.get('/', { schema: { response: { 200: { type: 'array', items: item } } } }, async () => list);

  fastify.get(
    '/:id',
    { schema: { params: { type: 'object', properties: { id: { type: 'integer' } } }, response: { 200: item } } },
    async (request, reply) => list.find(({ id }) => id === request.params.id) ?? reply.callNotFound(),
  );

  const body = { type: 'object', required: ['name'], properties: { name: { type: 'string', minLength: 2 } } };
  fastify.post('/', { schema: { body, response: { 201: item } } }, async (request, reply) => {
    const added = { id: list.length + 1, name: request.body.name, secret: 'never sent' };
    list.push(added);
    return reply.code(201).send(added);
  });
}
