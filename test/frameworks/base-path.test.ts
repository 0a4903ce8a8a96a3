/** Sites that are built for a path (SvelteKit's kit.paths.base, Next.js' basePath) expect that path in their URLs. */
import { describe, expect, it } from 'vitest';
import { useServer } from '../integration/harness/index.js';
import { apps } from './harness/apps.js';

const { script, folder } = apps.sveltekitShop;

const server = useServer({
  modules: ['rewrite'],
  directives: [`<Directory "${folder}">`, '  Require all granted', '</Directory>'],
  vhosts: [
    { name: 'root', directives: [`WSGIScriptAlias / "${script}"`] },
    {
      name: 'beside',
      // The application gets what follows its mount: the path that it was built for.
      directives: ['RewriteEngine on', 'RewriteRule "^(/shop(?:/.*)?)$" "/site$1" [PT]', `WSGIScriptAlias /site "${script}"`],
    },
  ],
});

describe.each([
  ['mounted at the root', 0],
  ['beside other content, by mod_rewrite', 1],
])('a site that is built for /shop, %s', (_title, host) => {
  it('serves its pages and assets', async () => {
    const page = await server.request('/shop/?who=Apache', { host });
    expect([page.status, page.text.includes('<h1>Hello, Apache</h1>')]).toEqual([200, true]);
    const asset = /"(\.?[^"]*\/_app\/immutable\/entry\/start[^"]+\.js)"/.exec(page.text)?.[1] as string;
    const script = await server.request(new URL(asset, 'http://localhost/shop/').pathname, { host });
    expect([script.status, script.headers['content-type']]).toEqual([200, 'text/javascript']);
  });

  it('handles its forms', async () => {
    const headers = { Origin: `https://127.0.0.1:${server.ports[host]}`, Accept: 'text/html', 'Content-Type': 'application/x-www-form-urlencoded' };
    const added = await server.request('/shop/notes?/add', { host, method: 'POST', body: 'text=noted', headers });
    expect(added.status).toBe(303);
    expect((await server.request('/shop/notes', { host })).text).toContain('<li>noted</li>');
  });
});
