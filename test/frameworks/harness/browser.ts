/** A real browser for the tests. What it saw is in .cache/screenshots. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { projectRoot } from '../../integration/harness/index.js';
import { clientPackage } from './apps.js';

/** What is used of puppeteer's pages. */
export interface Page {
  goto(url: string, options?: { waitUntil: string }): Promise<unknown>;
  click(selector: string): Promise<void>;
  type(selector: string, text: string): Promise<void>;
  readonly keyboard: { press(key: string): Promise<void> };
  select(selector: string, ...values: string[]): Promise<unknown>;
  $(selector: string): Promise<{ uploadFile(...files: string[]): Promise<void> } | null>;
  $eval<T>(selector: string, read: (element: { textContent: string | null }) => T): Promise<T>;
  evaluate<T>(expression: string): Promise<T>;
  waitForFunction(expression: string, options?: { timeout: number }): Promise<unknown>;
  waitForNavigation(): Promise<unknown>;
  screenshot(options: { path: string }): Promise<unknown>;
  on(event: string, listener: (value: { message?: string; type?: () => string; text?: () => string }) => void): void;
  url(): string;
  close(): Promise<void>;
}
interface Context {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}
interface Chromium {
  createBrowserContext(): Promise<Context>;
  close(): Promise<void>;
}

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--ignore-certificate-errors'];
const screenshots = join(projectRoot, '.cache', 'screenshots');

/** A browser with one page, and cookies of its own, for each test of the enclosing block. */
export class Browser {
  #chromium: Chromium | undefined;
  #context: Context | undefined;
  #page: Page | undefined;
  /** Errors of scripts and what they wrote to the console as errors, in this test. */
  problems: string[] = [];

  get page(): Page {
    if (this.#page === undefined) throw new Error('the browser has no page outside of a test');
    return this.#page;
  }

  async open(): Promise<void> {
    mkdirSync(screenshots, { recursive: true });
    const puppeteer = clientPackage<{ launch(options: unknown): Promise<Chromium> }>('puppeteer-core');
    this.#chromium = await puppeteer.launch({ executablePath: '/usr/bin/chromium', headless: true, args: flags });
  }

  async close(): Promise<void> {
    await this.#chromium?.close();
  }

  /** Goes on with a new page, which knows nothing of the former one. */
  async renew(): Promise<void> {
    await this.closePage();
    this.problems = [];
    this.#context = await this.#chromium?.createBrowserContext();
    const page = (await this.#context?.newPage()) as Page;
    page.on('pageerror', (error) => this.problems.push(error.message ?? 'unknown error'));
    page.on('console', (message) => message.type?.() === 'error' && this.problems.push(message.text?.() ?? ''));
    this.#page = page;
  }

  async closePage(): Promise<void> {
    await this.#context?.close();
    this.#context = this.#page = undefined;
  }

  text(selector: string): Promise<string> {
    return this.page.$eval(selector, (element) => element.textContent ?? '');
  }

  until(expression: string): Promise<unknown> {
    return this.page.waitForFunction(expression, { timeout: 10_000 });
  }

  /** Clicks what leads to another page, and waits for it. */
  async follow(selector: string): Promise<void> {
    await Promise.all([this.page.waitForNavigation(), this.page.click(selector)]);
  }

  screenshot(name: string): Promise<unknown> {
    return this.page.screenshot({ path: join(screenshots, `${name}.png`) });
  }
}

export function useBrowser(): Browser {
  const browser = new Browser();
  beforeAll(() => browser.open());
  afterAll(() => browser.close());
  beforeEach(async () => {
    await browser.renew();
    return () => browser.closePage();
  });
  return browser;
}
