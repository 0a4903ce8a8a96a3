import cors from 'cors';
import express from 'express';
import { initTRPC, TRPCError } from '@trpc/server';
import { createExpressMiddleware } from '@trpc/server/adapters/express';
import { z } from 'zod';

const t = initTRPC.context().create();
const notes = [];

const appRouter = t.router({
  greet: t.procedure.input(z.object({ name: z.string() })).query(({ input }) => `Hello, ${input.name}`),
  notes: t.router({
    list: t.procedure.query(() => notes),
    add: t.procedure.input(z.string().min(1)).mutation(({ input, ctx }) => {
      if (ctx.token !== 'let me in') throw new TRPCError({ code: 'UNAUTHORIZED' });
      return notes.push(input);
    }),
  }),
});

const app = express();
app.use(cors());
app.use('/trpc', createExpressMiddleware({ router: appRouter, createContext: ({ req }) => ({ token: req.headers['x-token'] }) }));
app.listen(process.env.PORT ?? 3000);
