/** A real browser uses the sites. What it saw is in .cache/screenshots. */
import { describe, expect, it } from 'vitest';
import { useServer } from '../integration/harness/index.js';
import { apps } from './harness/apps.js';
import { useBrowser } from './harness/browser.js';
import { describeTargets, type Target } from './harness/targets.js';

const browser = useBrowser();
const screenshot = (name: string, target: Target) =>
  browser.screenshot(`${name}-${target.embedded ? 'httpd' : 'node'}${target.mount.replace('/', '-')}`);

describe('a browser', () => {
  describeTargets(apps.next, (target) => {
    it('clicks through a page of Next.js', async () => {
      await browser.page.goto(target.url('/?who=Chromium'), { waitUntil: 'networkidle0' });
      expect(await browser.text('h1')).toBe('Hello, Chromium');
      await browser.page.click('#count');
      await browser.page.click('#count');
      expect(await browser.text('#count')).toBe('Clicked 2 times');
      await browser.page.click('#ask');
      await browser.until(`document.querySelector('#answer').textContent === 'Hello, button'`);
      await browser.page.type('input[name=name]', 'A visitor');
      await browser.page.click('#sign');
      await browser.until(`document.querySelector('#guests').textContent.includes('A visitor')`);
      // The action did not load the page anew.
      expect(await browser.text('#count')).toBe('Clicked 2 times');
      await screenshot('next', target);
      await browser.page.click('a[href="/slow"]');
      await browser.until(`document.querySelector('#late')?.textContent === 'The late part'`);
      expect(browser.page.url()).toBe(target.url('/slow'));
      expect(browser.problems).toEqual([]);
    });
  });

  describeTargets(apps.socketio, (target) => {
    it('talks through Socket.IO', async () => {
      await browser.page.goto(target.url('/'));
      await browser.until(`document.querySelector('#transport').value === 'websocket'`);
      await browser.page.type('#text', 'Hello from Chromium');
      await browser.page.click('#send');
      await browser.until(`document.querySelector('#messages').textContent === 'Hello from Chromium'`);
      await screenshot('socketio', target);
      expect(browser.problems).toEqual([]);
    });
  });

  describe('over TLS and HTTP/2', () => {
    const { folder, script } = apps.socketio;
    const server = useServer({
      threads: 16,
      directives: [`<Directory "${folder}">`, '  Require all granted', '</Directory>'],
      vhosts: [{ tls: true, http2: true, directives: ['H2WebSockets on', `WSGIScriptAlias / "${script}"`] }],
    });

    it('talks through Socket.IO, with the WebSocket on the connection of the page', async () => {
      await browser.page.goto(server.url('/'));
      await browser.until(`document.querySelector('#transport').value === 'websocket'`);
      await browser.page.type('#text', 'Hello over HTTP/2');
      await browser.page.click('#send');
      await browser.until(`document.querySelector('#messages').textContent === 'Hello over HTTP/2'`);
      expect(browser.problems).toEqual([]);
      await browser.renew();
      await expect.poll(() => server.accessLog(), { timeout: 5000 }).toMatch(/transport=websocket\S* HTTP\/2\.0" /);
    });
  });
});
