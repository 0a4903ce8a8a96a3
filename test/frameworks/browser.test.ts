/** A real browser uses the sites. What it saw is in .cache/screenshots. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot, useServer } from '../integration/harness/index.js';
import { apps, clientPackage } from './harness/apps.js';
import { describeTargets, type Target } from './harness/targets.js';

interface Page {
  goto(url: string, options?: { waitUntil: string }): Promise<unknown>;
  click(selector: string): Promise<void>;
  type(selector: string, text: string): Promise<void>;
  $eval<T>(selector: string, read: (element: { textContent: string | null }) => T): Promise<T>;
  waitForFunction(expression: string, options?: { timeout: number }): Promise<unknown>;
  screenshot(options: { path: string }): Promise<unknown>;
  on(event: string, listener: (value: { message?: string; type?: () => string; text?: () => string }) => void): void;
  url(): string;
  close(): Promise<void>;
}
interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--ignore-certificate-errors'];
const screenshots = join(projectRoot, '.cache', 'screenshots');

let browser: Browser;
let page: Page;
let problems: string[];

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true });
  const puppeteer = clientPackage<{ launch(options: unknown): Promise<Browser> }>('puppeteer-core');
  browser = await puppeteer.launch({ executablePath: '/usr/bin/chromium', headless: true, args: flags });
});
afterAll(() => browser.close());
beforeEach(async () => {
  problems = [];
  page = await browser.newPage();
  page.on('pageerror', (error) => problems.push(error.message ?? 'unknown error'));
  page.on('console', (message) => message.type?.() === 'error' && problems.push(message.text?.() ?? ''));
  return () => page.close();
});

const text = (selector: string) => page.$eval(selector, (element) => element.textContent ?? '');
const until = (expression: string) => page.waitForFunction(expression, { timeout: 10_000 });
const screenshot = (name: string, target: Target) =>
  page.screenshot({ path: join(screenshots, `${name}-${target.embedded ? 'httpd' : 'node'}${target.mount.replace('/', '-')}.png`) });

describe('a browser', () => {
  describeTargets(apps.next, (target) => {
    it('clicks through a page of Next.js', async () => {
      await page.goto(target.url('/?who=Chromium'), { waitUntil: 'networkidle0' });
      expect(await text('h1')).toBe('Hello, Chromium');
      await page.click('#count');
      await page.click('#count');
      expect(await text('#count')).toBe('Clicked 2 times');
      await page.click('#ask');
      await until(`document.querySelector('#answer').textContent === 'Hello, button'`);
      await page.type('input[name=name]', 'A visitor');
      await page.click('#sign');
      await until(`document.querySelector('#guests').textContent.includes('A visitor')`);
      // The action did not load the page anew.
      expect(await text('#count')).toBe('Clicked 2 times');
      await screenshot('next', target);
      await page.click('a[href="/slow"]');
      await until(`document.querySelector('#late')?.textContent === 'The late part'`);
      expect(page.url()).toBe(target.url('/slow'));
      expect(problems).toEqual([]);
    });
  });

  describeTargets(apps.socketio, (target) => {
    it('talks through Socket.IO', async () => {
      await page.goto(target.url('/'));
      await until(`document.querySelector('#transport').value === 'websocket'`);
      await page.type('#text', 'Hello from Chromium');
      await page.click('#send');
      await until(`document.querySelector('#messages').textContent === 'Hello from Chromium'`);
      await screenshot('socketio', target);
      expect(problems).toEqual([]);
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
      await page.goto(server.url('/'));
      await until(`document.querySelector('#transport').value === 'websocket'`);
      await page.type('#text', 'Hello over HTTP/2');
      await page.click('#send');
      await until(`document.querySelector('#messages').textContent === 'Hello over HTTP/2'`);
      expect(problems).toEqual([]);
      await page.close();
      page = await browser.newPage();
      await expect.poll(() => server.accessLog(), { timeout: 5000 }).toMatch(/transport=websocket\S* HTTP\/2\.0" /);
    });
  });
});
