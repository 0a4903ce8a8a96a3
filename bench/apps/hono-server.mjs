// What a site needs to run the Hono application on node:http.
import { serve } from '@hono/node-server';
import app from './hono.mjs';

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) });
