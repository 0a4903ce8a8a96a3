// Directives: which forms and places httpd accepts, and what it says about mistakes. No server runs here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HttpdServer, type Options } from './harness/index.js';

interface Outcome {
  ok: boolean;
  output: string;
  /** The configuration as it was written. */
  lines: string[];
}

async function check(options: Options, prepare?: (server: HttpdServer) => void): Promise<Outcome> {
  const server = new HttpdServer(options);
  try {
    prepare?.(server);
    const result = await server.check();
    return { ...result, lines: readFileSync(join(server.root, 'httpd.conf'), 'utf8').split('\n') };
  } finally {
    server.dispose();
  }
}

const checkServer = (...directives: string[]) =>
  check({ apps: ['hello.mjs'], directives: (s) => directives.map((line) => line.replaceAll('APP', s.app('hello.mjs')).replaceAll('DIR', s.app(''))) });

describe('accepted configuration', () => {
  it('takes every directive with each of its forms at server level', async () => {
    const { ok, output } = await checkServer(
      'WSGIScriptAlias / APP',
      'WSGIScriptAlias /a/ APP',
      'WSGIScriptAlias /folder DIR',
      'WSGIScriptAlias /b "APP" process-group=%{GLOBAL} application-group=%{GLOBAL} callable-object=main pass-authorization=On',
      'WSGIScriptAlias /c APP application-group=%{ENV:GROUP} callable-object=%{ENV:CALLABLE} pass-authorization=off',
      'WSGIScriptAlias /d APP application-group=%{SERVER}',
      'WSGIScriptAlias /e APP application-group=%{HOST}',
      'WSGIScriptAlias /f APP application-group=%{RESOURCE}',
      'WSGIScriptAlias /g APP "application-group=a name with blanks"',
      'WSGIScriptAlias /h apps/hello.mjs',
      'WSGIScriptAliasMatch ^/m/([a-z]+) DIR/$1.mjs application-group=m',
      'WSGIScriptAliasMatch "^/n$" APP',
      'WSGIImportScript APP process-group=%{GLOBAL} application-group=imported',
      'WSGIImportScript APP process-group=%{GLOBAL} application-group=%{GLOBAL} callable-object=other',
      ...['wsgi', 'Node', 'FETCH', 'auto'].map((type) => `WSGIApplicationType ${type}`),
      'WSGIScriptAlias /typed APP application-type=node',
      'WSGIImportScript APP process-group=%{GLOBAL} application-group=typed application-type=fetch',
      'WSGIApplicationEnv NODE_ENV=staging EMPTY= _x1=y=z',
      `WSGIApplicationEnv QUOTED="two words" 'WHOLE=two words' "ESCAPED=a \\"word\\""`,
      'WSGIProcessGroup %{GLOBAL}',
      'WSGIApplicationGroup %{GLOBAL}',
      'WSGIApplicationGroup my-group',
      'WSGICallableObject main',
      'WSGICallableObject $_main',
      'WSGICallableObject %{ENV:CALLABLE}',
      ...['WSGIPassAuthorization', 'WSGIScriptReloading', 'WSGIChunkedRequest', 'WSGIEnableSendfile'].flatMap((name) => [`${name} On`, `${name} off`]),
      ...['On', 'off', 'AUTO'].map((value) => `WSGIMapHEADToGET ${value}`),
      ...['Development', 'production'].map((value) => `WSGIErrorPage ${value}`),
      ...['0', '30', '30s', '1.5', '500ms', '2m', '1h', 'off'].map((value) => `WSGIRequestTimeout ${value}`),
      ...['Auto', 'off', '0', '5ms', '1.5'].map((value) => `WSGIParkAfter ${value}`),
      'WSGINodeOptions --max-old-space-size=256',
      'WSGINodeOptions --no-warnings --stack-trace-limit=20',
    );
    expect(output).toContain('Syntax OK');
    expect(ok).toBe(true);
  });

  const perDirectory = [
    ...['WSGIProcessGroup %{GLOBAL}', 'WSGIApplicationGroup g', 'WSGICallableObject main', 'WSGIPassAuthorization On'],
    ...['WSGIScriptReloading Off', 'WSGIChunkedRequest Off', 'WSGIEnableSendfile On', 'WSGIMapHEADToGET On'],
    ...['WSGIErrorPage Development', 'WSGIRequestTimeout 10', 'WSGIApplicationType node', 'WSGIApplicationEnv A=1'],
    'WSGIParkAfter 10ms',
  ];

  it.each([
    ['<VirtualHost 127.0.0.1:1>', '</VirtualHost>'],
    ['<Directory "/srv">', '</Directory>'],
    ['<DirectoryMatch "^/srv/(x|y)">', '</DirectoryMatch>'],
    ['<Location "/x">', '</Location>'],
    ['<LocationMatch "^/(x|y)">', '</LocationMatch>'],
    ['<Files "x.mjs">', '</Files>'],
    [`<If "%{HTTP:X-A} == 'b'">`, '</If>'],
  ])('takes the settings of applications in %s', async (open, close) => {
    const { ok, output } = await checkServer(open, ...perDirectory, close);
    expect(output).toContain('Syntax OK');
    expect(ok).toBe(true);
  });

  it('takes mounts and preloads in a virtual host', async () => {
    const { ok, output } = await checkServer(
      '<VirtualHost 127.0.0.1:1>',
      'WSGIScriptAlias / APP',
      'WSGIScriptAliasMatch ^/m APP',
      'WSGIImportScript APP process-group=%{GLOBAL} application-group=imported',
      '</VirtualHost>',
    );
    expect(output).toContain('Syntax OK');
    expect(ok).toBe(true);
  });

  it('warns of a script that is not there yet, with the place in the configuration, and accepts it', async () => {
    const { ok, output, lines } = await checkServer('WSGIScriptAlias /absent DIR/absent.mjs');
    expect(ok).toBe(true);
    const line = lines.findIndex((text) => text.includes('/absent')) + 1;
    expect(output).toMatch(new RegExp(`NWSGI1107.*WSGIScriptAlias.*httpd\\.conf:${line}\\b.*absent\\.mjs`));
  });

  it('warns of a mount that an earlier one hides, and names both places', async () => {
    const { ok, output, lines } = await checkServer('WSGIScriptAlias /twice APP', 'WSGIScriptAlias /twice APP');
    expect(ok).toBe(true);
    const first = lines.findIndex((text) => text.includes('/twice')) + 1;
    expect(output).toMatch(new RegExp(`NWSGI1108.*httpd\\.conf:${first + 1}\\b.*httpd\\.conf:${first}\\b`));
  });
});

describe('mistakes in the configuration', () => {
  /** Directive line and what the message has to say: code and remedy. */
  const mistakes: [string, RegExp][] = [
    ['WSGIScriptAlias app APP', /NWSGI1101.*"app".*start with '\/'/],
    ['WSGIScriptAlias /only', /URL and a path/],
    ['WSGIScriptAlias / ""', /NWSGI1105.*URL and a path/],
    ['WSGIScriptAlias / APP stray', /NWSGI1105.*"stray".*name=value/],
    ['WSGIScriptAlias / APP threads=5', /NWSGI1104.*"threads=5".*application-group=/],
    ['WSGIScriptAlias / APP application-group=a application-group=b', /NWSGI1105.*application-group=b.*twice/],
    ['WSGIScriptAlias / APP application-group=%{NOPE}', /NWSGI1109.*%\{NOPE\}.*%\{RESOURCE\}/],
    ['WSGIScriptAlias / APP process-group=nobody', /NWSGI1110.*"nobody".*%\{GLOBAL\}/],
    ['WSGIScriptAlias / APP callable-object=my-app', /NWSGI1111.*"my-app".*export/],
    ['WSGIScriptAlias / APP pass-authorization=Maybe', /NWSGI1112.*On or Off.*"Maybe"/],
    ['WSGIScriptAlias / APP application-type=python', /NWSGI1112.*wsgi, node, fetch or auto.*"python"/],
    ['WSGIScriptAlias / APP application-type=node application-type=node', /NWSGI1105.*twice/],
    ['WSGIScriptAliasMatch ^/( APP', /NWSGI1102.*"\^\/\(".*bracket/],
    ['WSGIScriptAliasMatch ^/(a) DIR/$2.mjs', /NWSGI1103.*\$2.*1 group/],
    ['WSGIScriptAliasMatch ^/x', /regular expression and a path/],
    ['WSGIImportScript', /path of a script/],
    ['WSGIImportScript APP', /NWSGI1115.*process-group=.*application-group=/],
    ['WSGIImportScript APP process-group=%{GLOBAL}', /NWSGI1115/],
    ['WSGIImportScript APP process-group=%{GLOBAL} application-group=%{HOST}', /NWSGI1115.*plain name/],
    ['WSGIImportScript APP process-group=%{GLOBAL} application-group=a pass-authorization=On', /NWSGI1104.*callable-object=/],
    ['WSGIProcessGroup nobody', /NWSGI1110.*"nobody".*%\{GLOBAL\}/],
    ['WSGIProcessGroup %{X}', /NWSGI1109.*%\{X\}.*%\{GLOBAL\}/],
    ['WSGIApplicationGroup %{USER}', /NWSGI1109.*%\{USER\}.*%\{HOST\}/],
    ['WSGIApplicationGroup', /WSGIApplicationGroup takes one argument/],
    ['WSGICallableObject my-app', /NWSGI1111.*"my-app".*export/],
    ['WSGICallableObject %{GLOBAL}', /NWSGI1111.*%\{ENV:variable\}/],
    ['WSGIApplicationType', /takes one argument/],
    ['WSGIApplicationType express', /NWSGI1112.*wsgi, node, fetch or auto.*"express"/],
    ['WSGIApplicationEnv', /NWSGI1116.*NAME=value/],
    ['WSGIApplicationEnv NODE_ENV', /NWSGI1116.*"NODE_ENV" is no assignment/],
    ['WSGIApplicationEnv NODE_ENV production', /NWSGI1116.*"NODE_ENV"/],
    ['WSGIApplicationEnv A="one" two', /NWSGI1116.*"two"/],
    ['WSGIApplicationEnv =value', /NWSGI1116.*name of a variable/],
    ['WSGIApplicationEnv 1ST=value', /NWSGI1116.*"1ST=value".*no digit/],
    ['WSGIApplicationEnv my-name=value', /NWSGI1116.*"my-name=value"/],
    ['WSGIPassAuthorization Perhaps', /must be On or Off/],
    ['WSGIScriptReloading Perhaps', /must be On or Off/],
    ['WSGIChunkedRequest Perhaps', /NWSGI1112.*On, Off or Buffered/],
    ['WSGIEnableSendfile Perhaps', /must be On or Off/],
    ['WSGIMapHEADToGET Perhaps', /NWSGI1112.*On, Off or Auto.*"Perhaps"/],
    ['WSGIErrorPage Verbose', /NWSGI1112.*Development or Production.*"Verbose"/],
    ['WSGIRequestTimeout soon', /NWSGI1113.*"soon".*500ms/],
    ['WSGIRequestTimeout -1', /NWSGI1113/],
    ['WSGIRequestTimeout 1.', /NWSGI1113/],
    ['WSGIRequestTimeout 10parsecs', /NWSGI1113/],
    ['WSGIRequestTimeout 99999999999999999999', /NWSGI1113/],
    ['WSGIParkAfter soon', /NWSGI1113.*"soon".*Auto, Off/],
    ['WSGINodeOptions max-old-space-size=64', /NWSGI1114.*'-'/],
    ['WSGINodeOptions --max-old-space-size 64', /NWSGI1114.*one word/],
    ['WSGINodeOptions --eval=1', /NWSGI1114.*--eval.*leave it out/],
    ['WSGINodeOptions --inspect-brk', /NWSGI1114/],
  ];

  it.each(mistakes)('"%s" is refused with file, line, directive and remedy', async (directive, message) => {
    const { ok, output, lines } = await checkServer('# before', directive, '# after');
    expect(ok).toBe(false);
    expect(output).toMatch(message);
    const line = lines.indexOf('# before') + 2;
    expect(output).toMatch(new RegExp(`line ${line} of .*httpd\\.conf|httpd\\.conf:${line}:`));
    expect(output).toContain(directive.split(' ')[0]);
  });

  const misplaced: [string, string][] = [
    ['WSGIScriptAlias / APP', '<Directory "/srv">'],
    ['WSGIScriptAlias / APP', '<Location "/x">'],
    ['WSGIScriptAliasMatch ^/ APP', '<Directory "/srv">'],
    ['WSGIImportScript APP process-group=%{GLOBAL} application-group=a', '<Location "/x">'],
    ['WSGINodeOptions --no-warnings', '<Directory "/srv">'],
    ['WSGINodeOptions --no-warnings', '<VirtualHost 127.0.0.1:1>'],
  ];

  it.each(misplaced)('"%s" is refused in %s', async (directive, section) => {
    const close = `</${section.slice(1).split(' ')[0]}>`;
    const { ok, output, lines } = await checkServer(section, directive, close);
    expect(ok).toBe(false);
    expect(output).toMatch(/(not allowed|cannot occur)/);
    expect(output).toContain(directive.split(' ')[0]);
    expect(output).toMatch(new RegExp(`line ${lines.indexOf(section) + 2} of .*httpd\\.conf`));
  });

  it('reports a mistake in an included file with that file and its line', async () => {
    const { ok, output } = await check({ directives: (s) => `Include "${s.root}/more.conf"` }, (s) =>
      s.writeFile('more.conf', '# one\n# two\nWSGIErrorPage Loud\n'),
    );
    expect(ok).toBe(false);
    expect(output).toMatch(/line 3 of .*more\.conf/);
  });
});
