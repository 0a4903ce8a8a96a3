/** The answer where there is none of an application; in httpd it would be an ErrorDocument. */
import type { ServerResponse } from 'node:http';
import { http } from '../../http-module.js';

export interface ErrorPage {
  /** Packed, as for NativeBridge.head. */
  readonly head: string;
  readonly body: string;
  send(res: ServerResponse): void;
  /** The whole response, for a connection that ends with it. */
  text(): string;
}

/** `retryAfter` in seconds; 0 for none. */
export function errorPage(status: number, retryAfter: number, isHead: boolean): ErrorPage {
  const reason = http.STATUS_CODES[status] ?? 'Error';
  const body = `<!DOCTYPE html>\n<html><head><title>${status} ${reason}</title></head>\n<body><h1>${reason}</h1></body></html>\n`;
  const fields: [string, string][] = [['Content-Type', 'text/html; charset=utf-8'], ['Content-Length', String(body.length)]];
  if (retryAfter > 0) fields.push(['Retry-After', String(retryAfter)]);
  return {
    head: `${status} ${reason}\n${fields.map(([name, value]) => `${name}:${value}\n`).join('')}`,
    body,
    send(res) {
      for (const [name, value] of fields) res.setHeader(name, value);
      res.writeHead(status, reason).end(isHead ? undefined : body);
    },
    text: () => `HTTP/1.1 ${status} ${reason}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}Connection: close\r\n\r\n${isHead ? '' : body}`,
  };
}
