import { initTRPC, TRPCError } from '@trpc/server';
import type { CreateHTTPContextOptions } from '@trpc/server/adapters/standalone';
import { z } from 'zod';

export const createContext = ({ req }: CreateHTTPContextOptions) => ({ token: req.headers['x-token'] });
type Context = Awaited<ReturnType<typeof createContext>>;

const t = initTRPC.context<Context>().create();
const notes: string[] = [];

export const appRouter = t.router({
  greet: t.procedure.input(z.object({ name: z.string() })).query(({ input }) => `Hello, ${input.name}`),
  notes: t.router({
    list: t.procedure.query(() => notes),
    add: t.procedure.input(z.string().min(1)).mutation(({ input, ctx }) => {
      if (ctx.token !== 'let me in') throw new TRPCError({ code: 'UNAUTHORIZED' });
      return notes.push(input);
    }),
  }),
  ticks: t.procedure.input(z.number()).subscription(async function* ({ input }) {
    for (let i = 0; i < input; i++) {
      yield i;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  }),
  stream: t.procedure.query(async function* () {
    for (let i = 0; i < 3; i++) {
      yield i;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  }),
});

export type AppRouter = typeof appRouter;
