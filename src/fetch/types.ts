/** What an application exports as a Web-standard handler. */
import type { FetchContext, FetchEnvironment } from './context.js';

export interface FetchHandler {
  fetch(request: Request, env: FetchEnvironment, ctx: FetchContext): Response | Promise<Response>;
}
