/**
 * node:http by require(). An import would read every export of it, also those that Node makes on demand: its WebSocket brings
 * along all of fetch(), 12 MiB in each process with Node 22 and newer, whether or not the application wants it.
 */
import { createRequire } from 'node:module';

export const http = createRequire(import.meta.url)('node:http') as typeof import('node:http');
