/** One application behind three prefixes that differ in WSGIParkAfter only: what a client and the logs see must not differ. */
import type { HttpdServer, Options } from '../harness/index.js';

/** `/wait` does so in place, `/park` parks at once, `/auto` is as by default. Of one length, as logs count bytes. */
export const forms = ['wait', 'park', 'auto'] as const;
export type Form = (typeof forms)[number];
/** Those that park. */
export const parkingForms = ['park', 'auto'] as const;
const settings = { wait: 'Off', park: '0', auto: 'Auto' } as const;

const application = 'parking/as-told.mjs';

/** Directives that mount applications behind all prefixes; `inside` is for each of their locations. */
export function mountForms(server: HttpdServer, path: (form: Form) => string = () => server.app(application), inside: readonly string[] = []): string[] {
  return forms.flatMap((form) => [
    `WSGIScriptAlias /${form} ${path(form)}`,
    `<Location "/${form}">`,
    `WSGIParkAfter ${settings[form]}`,
    ...inside,
    '</Location>',
  ]);
}

/** Options of a server with the application behind all prefixes, in one application group. `factor`: AsyncRequestWorkerFactor. */
export function parkingServer(options: Options & { inside?: readonly string[]; factor?: number | null }): Options {
  const { directives, inside = [], factor = 400, ...rest } = options;
  return {
    threads: 4,
    ...rest,
    apps: [application, ...(options.apps ?? [])],
    directives: (server) => {
      const given = typeof directives === 'function' ? directives(server) : (directives ?? []);
      return ['WSGIApplicationGroup told', ...(factor === null ? [] : [`AsyncRequestWorkerFactor ${factor}`]), ...mountForms(server, undefined, inside), ...(typeof given === 'string' ? given.split('\n') : given)];
    },
  };
}

/** Runs `body` for each form, one after another, and returns what came of it by form. */
export async function eachForm<T>(body: (form: Form) => Promise<T>): Promise<Record<Form, T>> {
  const results: Partial<Record<Form, T>> = {};
  for (const form of forms) results[form] = await body(form);
  return results as Record<Form, T>;
}
