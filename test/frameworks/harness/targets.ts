/** The same tests for an application under `node`, in Apache, and in Apache below a prefix. */
import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { daemon, open, request, useServer, type HttpResponse, type RequestOptions } from '../../integration/harness/index.js';
import type { App } from './apps.js';
import { NodeProcess, nodeMajor } from './node-process.js';

/** Where the mounted one lies; not a path that any application has. */
const prefix = '/mounted';

/** An application that runs somewhere. */
export class Target {
  /** True in Apache. */
  readonly embedded: boolean;
  /** Path in front of the application's own paths: "" at the root. */
  readonly mount: string;
  readonly #port: () => number;

  constructor(embedded: boolean, mount: string, port: () => number) {
    this.embedded = embedded;
    this.mount = mount;
    this.#port = port;
  }

  get port(): number {
    return this.#port();
  }

  /** `scheme` "ws" for a WebSocket. */
  url(path: string, scheme = 'http'): string {
    return `${scheme}://127.0.0.1:${this.port}${this.mount}${path}`;
  }

  request(path: string, options: RequestOptions = {}): Promise<HttpResponse> {
    return request(this.url(path), options);
  }

  get(path: string, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.request(path, { headers });
  }

  post(path: string, body: NonNullable<RequestOptions['body']>, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.request(path, { method: 'POST', body, headers });
  }

  postJson(path: string, value: unknown, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.post(path, JSON.stringify(value), { 'Content-Type': 'application/json', ...headers });
  }

  postForm(path: string, form: FormData | URLSearchParams, headers: Record<string, string> = {}): Promise<HttpResponse> {
    const encoded = new Response(form);
    const type = { 'Content-Type': encoded.headers.get('content-type') as string };
    return encoded.arrayBuffer().then((body) => this.post(path, new Uint8Array(body), { ...type, ...headers }));
  }

  /** A request whose response is read as it arrives. */
  open(path: string, options: RequestOptions = {}): ReturnType<typeof open> {
    return open(this.url(path), options);
  }
}

/**
 * Describes the application's tests three times. Under plain `node` they say what is expected; Apache has to do the same.
 */
export function describeTargets(app: App, body: (target: Target) => void): void {
  const tooOld = app.node !== undefined && nodeMajor < app.node;
  const reason = tooOld ? ` (needs Node ${app.node}, this is ${nodeMajor})` : '';
  describe(app.name, () => {
    // Where applications run in process groups, plain Node's answers are known from the other mode.
    if (!daemon) describe.skipIf(tooOld)(`in node${reason}`, () => describeInNode(app, body));
    if (app.completed) describe('in httpd', () => describeInHttpd(app, body));
    else describe.skipIf(tooOld)(`in httpd${reason}`, () => describeInHttpd(app, body));
  });
}

function describeInNode(app: App, body: (target: Target) => void): void {
  const node = new NodeProcess(app);
  let before = 0;
  beforeAll(() => node.start());
  afterAll(() => node.stop());
  beforeEach(({ onTestFailed }) => {
    before = node.output.length;
    onTestFailed(() => console.error(`output of node during this test:\n${node.output.slice(before)}`));
  });
  body(new Target(false, '', () => node.port));
}

function describeInHttpd(app: App, body: (target: Target) => void): void {
  const mounts = app.mountable === false ? [''] : ['', prefix];
  const server = useServer({
    threads: 16,
    directives: [`<Directory "${app.folder}">`, '  Require all granted', '</Directory>'],
    // Each has an application group of its own, and so state of its own.
    vhosts: mounts.map((mount) => ({ directives: [`WSGIScriptAlias ${mount || '/'} "${app.script}"`, ...settings(app, mount)] })),
  });
  mounts.forEach((mount, index) => {
    describe(mount === '' ? 'at the root' : `below ${mount}`, () => body(new Target(true, mount, () => server.ports[index] as number)));
  });
}

const settings = (app: App, mount: string): string[] =>
  mount === '' ? [] : Object.entries(app.mountSettings?.(mount) ?? {}).map(([name, value]) => `WSGIApplicationEnv ${name}=${value}`);
