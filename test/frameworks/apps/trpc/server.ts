import { createHTTPServer } from '@trpc/server/adapters/standalone';
import { appRouter, createContext } from './router.ts';

createHTTPServer({ router: appRouter, createContext }).listen(Number(process.env.PORT ?? 3000));
