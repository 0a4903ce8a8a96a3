import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';

interface Sum {
  a: number;
  b: number;
}

const querystring = {
  type: 'object',
  required: ['a', 'b'],
  properties: { a: { type: 'number' }, b: { type: 'number' } },
} as const;

export async function build(): Promise<FastifyInstance> {
  const fastify = Fastify();
  fastify.decorateRequest('began', 0);
  fastify.get<{ Querystring: Sum }>('/sum', { schema: { querystring } }, async (request: FastifyRequest<{ Querystring: Sum }>) => {
    return { sum: request.query.a + request.query.b };
  });
  return fastify;
}

const fastify = await build();
await fastify.listen({ port: Number(process.env.PORT ?? 3000) });
