/** A visitor of a site: keeps cookies, fills in forms, follows redirects when told to. */
import type { HttpResponse, RequestOptions } from '../../integration/harness/index.js';
import type { Target } from './targets.js';

export class Visitor {
  readonly #target: Target;
  readonly cookies = new Map<string, string>();

  constructor(target: Target) {
    this.#target = target;
  }

  async request(path: string, { headers = {}, ...options }: RequestOptions & { headers?: Record<string, string> } = {}): Promise<HttpResponse> {
    const Cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await this.#target.request(path, { ...options, headers: { ...(Cookie === '' ? {} : { Cookie }), ...headers } });
    for (const cookie of response.all('set-cookie')) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (/max-age=0(;|$)/i.test(cookie)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.request(path, { headers });
  }

  async post(path: string, form: FormData | URLSearchParams, headers: Record<string, string> = {}): Promise<HttpResponse> {
    const encoded = new Response(form);
    const type = { 'Content-Type': encoded.headers.get('content-type') as string };
    return this.request(path, { method: 'POST', body: new Uint8Array(await encoded.arrayBuffer()), headers: { ...type, ...headers } });
  }

  /** The path behind the mount to which a response redirects. */
  behind(response: HttpResponse): string {
    const location = response.headers.location ?? '';
    const path = location.startsWith('/') ? location : location.slice(new URL(location).origin.length);
    if (!path.startsWith(this.#target.mount)) throw new Error(`the redirect leads out of the mount: ${location}`);
    return path.slice(this.#target.mount.length);
  }
}

/** Value of a field of a form. */
export function fieldOf(page: string, name: string): string {
  const input = new RegExp(`<input[^>]*name="${name}"[^>]*>`).exec(page)?.[0];
  const value = input === undefined ? undefined : /value="([^"]*)"/.exec(input)?.[1];
  if (value === undefined) throw new Error(`there is no field ${name} in\n${page}`);
  return value;
}
