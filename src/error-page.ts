/** The page that a developer sees when a request fails and WSGIErrorPage says "Development". Never sent otherwise. */
import { hasTellingStack, stackOf, summary } from './errors.js';
import type { CatalogueEntry } from './errors.js';
import { isPythonError } from './python/error.js';
import { remedyFor, titleFor } from './remedies.js';
import { excerptFor, foreignInTraceback, isForeignFrame } from './source-excerpt.js';
import type { Excerpt } from './source-excerpt.js';

export interface PageInput {
  problem: CatalogueEntry;
  error: unknown;
  environ: Readonly<Record<string, unknown>> | undefined;
  status: number;
  /** The script and what of it was called. */
  place: string;
  /** Of the language that the application is written in, where that is not this one: "Python 3.11.2". */
  language?: string;
}

export interface Page {
  /** Packed for the bridge. */
  head: string;
  body: string;
}

const REASONS: Readonly<Record<number, string>> = { 404: 'Not Found', 500: 'Internal Server Error', 503: 'Service Unavailable' };
const SECRET = /authorization|cookie|passw|secret|token|api_?key/i;
const LONGEST_VALUE = 500;

export function pageFor(input: PageInput): Page {
  const html = prefersHtml(text(input.environ, 'HTTP_ACCEPT'));
  const body = html ? htmlPage(input) : textPage(input);
  const lines = [
    `${input.status} ${REASONS[input.status] ?? 'Error'}`,
    `Content-Type:text/${html ? 'html' : 'plain'}; charset=utf-8`,
    `Content-Length:${Buffer.byteLength(body)}`,
    'Cache-Control:no-store',
    'X-Content-Type-Options:nosniff',
    ...(html ? ["Content-Security-Policy:default-src 'none'; style-src 'unsafe-inline'"] : []),
  ];
  return { head: `${lines.join('\n')}\n`, body };
}

/** HTML unless the client asks for plain text or JSON more than for HTML. */
export function prefersHtml(accept: string): boolean {
  let html = -1;
  let other = 0;
  for (const part of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim());
    const quality = parameters.find((text) => text.startsWith('q='));
    const q = quality === undefined ? 1 : Number.parseFloat(quality.slice(2)) || 0;
    if (type === 'text/html' || type === 'application/xhtml+xml') html = Math.max(html, q);
    else if (type === 'text/plain' || type === 'application/json' || type.endsWith('+json')) other = Math.max(other, q);
  }
  return html >= 0 ? html >= other && html > 0 : other === 0;
}

export function escapeHtml(text: string): string {
  const named: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => named[character] as string);
}

/** A value of the environ for display: secrets are hidden, long values are cut. Never throws. */
export function shown(key: string, value: unknown): string {
  if (SECRET.test(key)) return '(hidden)';
  if (typeof value === 'string') return value.length > LONGEST_VALUE ? `${value.slice(0, LONGEST_VALUE)}… (${value.length} characters)` : value;
  if (typeof value === 'function') return '(function)';
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    return Array.isArray(value) ? JSON.stringify(value).slice(0, LONGEST_VALUE) : '(object)';
  } catch {
    return '(cannot be shown)';
  }
}

/** The value of a key. Applications may have put anything into the environ: also accessors that throw. */
function valueOf(environ: PageInput['environ'], key: string): unknown {
  try {
    return environ?.[key];
  } catch {
    return '(cannot be shown)';
  }
}

/** A variable of the server; '' when it is missing or no string any more. */
function text(environ: PageInput['environ'], key: string): string {
  const value = valueOf(environ, key);
  return typeof value === 'string' ? value : '';
}

function rows(environ: PageInput['environ'], wanted: (key: string) => boolean): [string, string][] {
  if (environ === undefined) return [];
  // The signal is an accessor: it is not created for the page.
  const keys = Object.keys(environ).filter((key) => key !== 'nwsgi.signal' && wanted(key));
  return keys.sort().map((key) => [key, shown(key, valueOf(environ, key))]);
}

function headerName(key: string): string {
  return key
    .slice(5)
    .toLowerCase()
    .replace(/(^|_)(\w)/g, (_all, dash: string, letter: string) => (dash === '' ? '' : '-') + letter.toUpperCase());
}

function requestLine(environ: PageInput['environ']): string {
  const uri = text(environ, 'REQUEST_URI') || text(environ, 'PATH_INFO');
  return `${text(environ, 'REQUEST_METHOD')} ${uri} ${text(environ, 'SERVER_PROTOCOL')}`.trim();
}

/** Where it happened, and what finds the lines of the request in the error log. */
function places({ place, environ }: PageInput): string[] {
  const id = text(environ, 'nwsgi.request_id');
  return [place, ...(id === '' ? [] : [`request ${id}`])];
}

function versions({ environ, language }: PageInput): string {
  const server = text(environ, 'SERVER_SOFTWARE') || 'unknown server';
  return `${`nwsgi ${text(environ, 'nwsgi.version')}`.trim()} · ${language ?? `Node ${process.versions.node} · V8 ${process.versions.v8}`} · ${server}`;
}

/** A mark below the column of the error; undefined when it is not known or not visible. */
function columnMark({ line, column, lines }: Excerpt): string | undefined {
  const hit = lines.find(({ number }) => number === line)?.text;
  if (hit === undefined || column < 1 || column > hit.length + 1) return undefined;
  return `${hit.slice(0, column - 1).replace(/[^\t]/g, ' ')}^`;
}

function textPage(input: PageInput): string {
  const excerpt = excerptFor(input.error);
  const parts = [`${summary(input.error)}`, '', `${input.problem.code} ${titleFor(input.problem, input.error)}`, remedyFor(input.problem, input.error), ...places(input)];
  if (excerpt !== undefined) {
    parts.push('', `${excerpt.file}:${excerpt.line}`);
    const mark = columnMark(excerpt);
    for (const { number, text, hit } of excerpt.lines) {
      parts.push(`${hit ? '>' : ' '} ${String(number).padStart(5)} | ${text}`);
      if (hit && mark !== undefined) parts.push(`        | ${mark}`);
    }
  }
  if (hasTellingStack(input.problem, input.error)) parts.push('', stackOf(input.error));
  parts.push('', requestLine(input.environ), '', versions(input), '');
  return parts.join('\n');
}

const STYLE = `:root{color-scheme:light dark;--fg:#1c1e21;--bg:#fff;--dim:#5f6672;--line:#d9dde3;--code:#f5f6f8;--hit:#ffe3e0;--red:#b3261e}
@media(prefers-color-scheme:dark){:root{--fg:#e4e6ea;--bg:#17191c;--dim:#9aa2ae;--line:#33373d;--code:#1f2226;--hit:#4a2320;--red:#ff8a80}}
*{box-sizing:border-box}body{margin:0 auto;max-width:70rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg)}
h1{font-size:1.35rem;margin:.2rem 0;color:var(--red);overflow-wrap:anywhere;white-space:pre-wrap}h2{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.3rem 0}.dim{color:var(--dim)}pre{margin:0;padding:.7rem;overflow-x:auto;background:var(--code);border:1px solid var(--line);border-radius:6px;font:.85rem/1.45 ui-monospace,monospace}
.hit{background:var(--hit);display:block}.line{display:block}.mark{color:var(--red)}code{font:.9em ui-monospace,monospace;background:var(--code);padding:.1em .3em;border-radius:4px}table{border-collapse:collapse;width:100%;font-size:.85rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}th{font-weight:600;width:16rem}
td{font-family:ui-monospace,monospace}@media(max-width:40rem){th,td{display:block;width:auto;border:0;padding:0}td{border-bottom:1px solid var(--line);padding-bottom:.3rem}}`;

function table(entries: readonly [string, string][]): string {
  const body = entries.map(([key, value]) => `<tr><th scope="row">${escapeHtml(key)}</th><td>${escapeHtml(value)}</td></tr>`);
  return `<table>${body.join('')}</table>`;
}

function code(excerpt: Excerpt): string {
  const mark = columnMark(excerpt);
  const lines = excerpt.lines.map(({ number, text, hit }) => {
    const below = hit && mark !== undefined ? `<span class="line mark">${' '.repeat(7)}${mark}</span>` : '';
    return `<span class="${hit ? 'hit' : 'line'}">${String(number).padStart(5)}  ${escapeHtml(text)}</span>${below}`;
  });
  return `<h2>${escapeHtml(`${excerpt.file}:${excerpt.line}`)}</h2><pre>${lines.join('')}</pre>`;
}

/** The application's own frames stand out. */
function stack(error: unknown): string {
  const lines = stackOf(error).split('\n');
  const isPython = isPythonError(error);
  const foreign = isPython ? foreignInTraceback(lines) : lines.map(isForeignFrame);
  const marked = lines.map((line, i) => (foreign[i] === true ? `<span class="dim">${escapeHtml(line)}</span>` : escapeHtml(line)));
  return `<h2>${isPython ? 'Traceback' : 'Stack'}</h2><pre>${marked.join('\n')}</pre>`;
}

function withCode(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}

function htmlPage(input: PageInput): string {
  const { problem, error, environ, status } = input;
  const [title = '', ...more] = summary(error).split('\n');
  const excerpt = excerptFor(error);
  const headers = rows(environ, (key) => key.startsWith('HTTP_')).map(([key, value]): [string, string] => [headerName(key), value]);
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${status}: ${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><p class="dim">${escapeHtml(requestLine(environ))}</p>
<h1>${escapeHtml(title)}</h1>
${more.length === 0 ? '' : `<pre>${escapeHtml(more.join('\n'))}</pre>`}
<p><strong>${problem.code}</strong> ${escapeHtml(titleFor(problem, error))}</p><p>${withCode(remedyFor(problem, error))}</p>
<p class="dim">${places(input).map(escapeHtml).join('<br>')}</p>
${excerpt === undefined ? '' : code(excerpt)}
${hasTellingStack(problem, error) ? stack(error) : ''}
<h2>Request headers</h2>${table(headers)}
<h2>environ</h2>${table(rows(environ, (key) => !key.startsWith('HTTP_')))}
<p class="dim">${escapeHtml(versions(input))}</p>
<p class="dim">You see this page because of “WSGIErrorPage Development”. Visitors must not: it shows source code.</p>
</body></html>
`;
}
