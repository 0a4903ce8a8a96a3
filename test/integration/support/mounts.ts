/** Many small applications on one server, and the requests that tests send them. */
import { head, waitFor, type HttpdServer, type HttpResponse, type Options } from '../harness/index.js';

const stem = (name: string) => name.replace(/\.[^.]+$/, '');

/** Mounts each fixture at its name without the extension, all of them in one environment. */
export const mounts = (names: readonly string[]) => (server: HttpdServer): string[] => [
  'WSGIApplicationGroup shared',
  ...names.map((name) => `WSGIScriptAlias /${stem(name)} "${server.app(name)}"`),
];

/** Options of a server with these fixtures; `noted.cjs` is there too, at /noted. */
export function appsServer(names: readonly string[], more: Options = {}): Options {
  const apps = [...new Set(['noted.cjs', ...names])];
  const directives = (server: HttpdServer): string[] => {
    const own = typeof more.directives === 'function' ? more.directives(server) : (more.directives ?? []);
    return [...mounts(apps)(server), ...(typeof own === 'string' ? [own] : own)];
  };
  return { ...more, apps: [...apps, ...(more.apps ?? [])], directives };
}

let runs = 0;

/** A key for `?run=`, under which the fixture keeps its notes. */
export const newRun = (): string => `${process.pid}-${++runs}`;

/** What the fixtures noted for a run, in order. */
export async function notesOf(server: HttpdServer, run: string): Promise<string[]> {
  return (await server.get(`/noted?run=${run}`)).json() as string[];
}

/** Waits until the notes of a run satisfy `enough`, and returns them. Each child of httpd has notes of its own. */
export function waitForNotes(server: HttpdServer, run: string, enough: (notes: string[]) => boolean, milliseconds = 5000): Promise<string[]> {
  const probe = async () => {
    const notes = await notesOf(server, run);
    return enough(notes) ? notes : undefined;
  };
  return waitFor('the notes of the application', probe, milliseconds);
}

export const count = (notes: readonly string[], what: string): number => notes.filter((note) => note === what).length;

/** The bytes of a request without a body. */
export const get = (path: string, ...lines: string[]): string => head(`GET ${path} HTTP/1.1`, 'Host: localhost', ...lines);

/** Header names and values without those that differ between any two answers. */
export function stableHeaders(response: HttpResponse): string[] {
  const lines: string[] = [];
  for (let i = 0; i < response.rawHeaders.length; i += 2) {
    if (!/^(date|connection|keep-alive|transfer-encoding)$/i.test(response.rawHeaders[i] as string)) {
      lines.push(`${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`);
    }
  }
  return lines.sort();
}
