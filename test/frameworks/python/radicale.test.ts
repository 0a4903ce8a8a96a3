/** Radicale, a CalDAV and CardDAV server, by the script that Debian ships; Apache asks for the password. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { HttpResponse } from '../../integration/harness/index.js';
import { describePython, everyPlace, type PythonApp, type PythonTarget } from '../harness/python.js';

const password = (name: string, text: string) => `${name}:{SHA}${createHash('sha1').update(text).digest('base64')}\n`;

const app: PythonApp = {
  name: 'radicale',
  script: '/usr/share/radicale/radicale.wsgi',
  modules: ['auth_basic', 'authn_core', 'authn_file', 'authz_user'],
  directives: (folder, mount) => [
    `SetEnv RADICALE_CONFIG "${folder}/config"`,
    '<Directory "/usr/share/radicale">',
    '  Require all granted',
    '</Directory>',
    `<Location "${mount || '/'}">`,
    '  AuthType Basic',
    '  AuthName calendars',
    `  AuthUserFile "${folder}/passwords"`,
    '  Require valid-user',
    '</Location>',
    '<Location "/beside">',
    '  Require all granted',
    '</Location>',
  ],
  prepare: (folder) => {
    const file = join(folder, 'config');
    writeFileSync(file, readFileSync(file, 'utf8').replace('@DATA@', join(folder, 'data')));
    writeFileSync(join(folder, 'passwords'), password('ada', 'lovelace') + password('bob', 'builder'), { mode: 0o644 });
  },
};

const basic = (credentials: string) => ({ Authorization: `Basic ${Buffer.from(credentials).toString('base64')}` });
const event = (uid: string, summary: string, day: string) =>
  ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//test//EN', 'BEGIN:VEVENT', `UID:${uid}`, `DTSTAMP:${day}T080000Z`, `DTSTART:${day}T100000Z`, `DTEND:${day}T110000Z`, `SUMMARY:${summary}`, 'END:VEVENT', 'END:VCALENDAR', ''].join('\r\n');

/** Requests of a user. */
const as = (target: PythonTarget, credentials: string) => (method: string, path: string, body = '', headers: Record<string, string> = {}): Promise<HttpResponse> =>
  target.request(path, { method, headers: { ...basic(credentials), 'Content-Length': String(Buffer.byteLength(body)), ...headers }, ...(body === '' ? {} : { body }) });

describePython(app, everyPlace, (target) => {
  const name = target.mount.slice(1) || 'root';
  const ada = as(target, 'ada:lovelace');
  const calendar = `/ada/${name}/`;

  it('is only for those whom Apache knows', async () => {
    const asked = await target.get('/');
    expect([asked.status, asked.headers['www-authenticate']]).toEqual([401, 'Basic realm="calendars"']);
    const options = await ada('OPTIONS', '/');
    expect([options.status, options.headers.dav]).toEqual([200, expect.stringContaining('calendar-access')]);
    expect(options.headers.allow).toContain('REPORT');
    const web = await ada('GET', '/');
    expect([web.status, web.headers.location]).toEqual([302, expect.stringMatching(/\.web/)]);
    expect((await ada('GET', '/.web/')).text).toContain('Radicale');
    const known = await ada('GET', '/.well-known/caldav');
    expect([known.status, known.headers.location]).toEqual([301, target.path('/')]);
  });

  it('keeps calendars and events', async () => {
    const mkcalendar = `<?xml version="1.0"?><C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop><D:displayname>Termine ä</D:displayname></D:prop></D:set></C:mkcalendar>`;
    expect((await ada('MKCALENDAR', calendar, mkcalendar)).status).toBe(201);
    const put = await ada('PUT', `${calendar}one.ics`, event('one', 'Meeting – ä', '20261201'), { 'Content-Type': 'text/calendar; charset=utf-8', 'If-None-Match': '*' });
    expect([put.status, put.headers.etag]).toEqual([201, expect.stringMatching(/^"/)]);
    const got = await ada('GET', `${calendar}one.ics`);
    expect([got.status, got.headers.etag, got.text]).toEqual([200, put.headers.etag, expect.stringContaining('SUMMARY:Meeting – ä')]);
    await ada('PUT', `${calendar}two.ics`, event('two', 'Another', '20270301'), { 'Content-Type': 'text/calendar; charset=utf-8' });
    const again = await ada('PUT', `${calendar}one.ics`, event('one', 'Changed', '20261201'), { 'Content-Type': 'text/calendar; charset=utf-8', 'If-Match': '"stale"' });
    expect(again.status).toBe(412);
  });

  it('answers PROPFIND and REPORT with paths below the mount', async () => {
    const propfind = '<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop><D:displayname/><D:getetag/><D:resourcetype/></D:prop></D:propfind>';
    const list = await ada('PROPFIND', calendar, propfind, { Depth: '1' });
    expect([list.status, list.statusText]).toEqual([207, 'Multi-Status']);
    expect([...list.text.matchAll(/<href>([^<]+)<\/href>/g)].map(([, href]) => href).sort()).toEqual([target.path(calendar), target.path(`${calendar}one.ics`), target.path(`${calendar}two.ics`)]);
    expect(list.text).toContain('<displayname>Termine ä</displayname>');
    const query = `<?xml version="1.0"?><C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="20261101T000000Z" end="20261231T000000Z"/></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>`;
    const found = await ada('REPORT', calendar, query, { Depth: '1' });
    expect([found.status, found.text]).toEqual([207, expect.stringContaining('Meeting – ä')]);
    expect(found.text).not.toContain('Another');
    const zipped = await ada('PROPFIND', calendar, propfind, { Depth: '1', 'Accept-Encoding': 'gzip' });
    expect(zipped.headers['content-encoding']).toBe('gzip');
  });

  it('keeps them from others, and deletes them', async () => {
    expect((await as(target, 'bob:builder')('GET', `${calendar}one.ics`)).status).toBe(403);
    expect((await as(target, 'bob:wrong')('GET', `${calendar}one.ics`)).status).toBe(401);
    expect((await ada('DELETE', `${calendar}one.ics`)).status).toBe(200);
    expect((await ada('GET', `${calendar}one.ics`)).status).toBe(404);
  });

  it('logs', async () => {
    const since = target.server.mark();
    await ada('GET', calendar);
    await target.expectLogged('info', new RegExp(`GET request for '${calendar}'`), since);
  });
});
