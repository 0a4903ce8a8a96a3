// The example that `npm start` serves: a small WSGI application in TypeScript. Apache loads this file as it is; there
// is no build step. Change it while the server runs and reload the page.
import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Environ, StartResponse, WsgiResult } from 'nwsgi';

type View = (environ: Environ, startResponse: StartResponse) => WsgiResult | Promise<WsgiResult>;

const views: Record<string, View> = {
  '/': index,
  '/environ': showEnviron,
  '/stream': stream,
  '/echo': echo,
  '/source': source,
  '/error': fail,
};

/** The callable that `WSGIScriptAlias` looks for. It may be async, as may everything that it returns. */
export function application(environ: Environ, startResponse: StartResponse): WsgiResult | Promise<WsgiResult> {
  const view = views[environ.PATH_INFO || '/'];
  return view ? view(environ, startResponse) : notFound(environ, startResponse);
}

function index(environ: Environ, startResponse: StartResponse): WsgiResult {
  return page(startResponse, 'It works', [
    `<p>This page was made by <code>${escape(String(environ.SCRIPT_FILENAME ?? 'app.ts'))}</code>,
     a WSGI callable that runs in Node ${process.versions.node} inside process ${process.pid} of
     ${escape(String(environ.SERVER_SOFTWARE ?? 'Apache'))}.</p>
     <ul>
       <li><a href="${at(environ, '/environ')}">/environ</a>: what the callable is given for each request</li>
       <li><a href="${at(environ, '/stream')}">/stream</a>: a response that is sent while it is made</li>
       <li><a href="${at(environ, '/source')}">/source</a>: this application, sent with <code>wsgi.file_wrapper</code></li>
       <li><a href="${at(environ, '/error')}">/error</a>: what an exception looks like during development</li>
     </ul>
     <form method="post" action="${at(environ, '/echo')}">
       <p><label>A request with a body: <input name="text" value="héllo, wörld"></label> <button>Send</button></p>
     </form>
     <p>Read on in <code>docs/application-guide.md</code> and <code>docs/directives.md</code>.</p>`,
  ]);
}

function showEnviron(environ: Environ, startResponse: StartResponse): WsgiResult {
  const rows = Object.entries(environ)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `<tr><th>${escape(name)}</th><td>${escape(describe(value))}</td></tr>`);
  return page(startResponse, 'environ', ['<table>', ...rows, '</table>']);
}

async function* stream(_environ: Environ, startResponse: StartResponse): AsyncGenerator<string> {
  startResponse('200 OK', [['Content-Type', 'text/plain; charset=utf-8']]);
  for (let line = 1; line <= 10; line++) {
    yield `${line} of 10 at ${new Date().toISOString()}\n`;
    await sleep(300);
  }
}

async function* echo(environ: Environ, startResponse: StartResponse): AsyncGenerator<Uint8Array> {
  startResponse('200 OK', [['Content-Type', 'text/plain; charset=utf-8']]);
  // Chunks are passed on as they arrive: the body is never held as a whole.
  yield* environ['wsgi.input'].chunks();
}

function source(environ: Environ, startResponse: StartResponse): WsgiResult {
  startResponse('200 OK', [['Content-Type', 'text/plain; charset=utf-8']]);
  const file = createReadStream(fileURLToPath(import.meta.url));
  return environ['wsgi.file_wrapper'](file);
}

function fail(): never {
  throw new Error('this view always fails');
}

function notFound(environ: Environ, startResponse: StartResponse): WsgiResult {
  return page(startResponse, 'Not found', [`<p>Nothing is at <code>${escape(environ.PATH_INFO)}</code>.</p>`], '404 Not Found');
}

function page(startResponse: StartResponse, title: string, body: string[], status = '200 OK'): string[] {
  startResponse(status, [['Content-Type', 'text/html; charset=utf-8']]);
  return [
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title} - nwsgi</title>
     <meta name="viewport" content="width=device-width">
     <style>
       :root { color-scheme: light dark }
       body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 3rem auto; padding: 0 1rem }
       table { border-collapse: collapse; width: 100% }
       th, td { text-align: left; vertical-align: top; padding: .2rem .6rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere }
       th { font: .9rem/1.7 ui-monospace, monospace; white-space: nowrap }
     </style>
     <h1>${title}</h1>`,
    ...body,
    '</html>\n',
  ];
}

const at = (environ: Environ, path: string) => escape(environ.SCRIPT_NAME + path);

function describe(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value.constructor?.name ?? 'object';
  return JSON.stringify(value) ?? String(value);
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escape = (text: string) => text.replace(/[&<>"]/g, (character) => entities[character] as string);
