// The suites: where their sources come from (pinned by version and digest), what they need, how their files are run.
//
// `package`: an npm package; its files are the suite's folder. `source`: a tarball of Debian's source archive. `tests`: a
// second source of which only `take` is used. `install`: npm packages beside the suite's own dependencies. `skip`: tests
// that fail for a reason given in differences.json and leave something open for which those after them would wait.

const express4 = {
  debian: 'pool/main/n/node-express/node-express_4.18.2+~4.17.14.orig.tar.gz',
  sha256: 'a9ace1a92a2b0a7e3fcd7a7612553d6208a464561c15ad38f349fc3ab0d7cda0',
};

/** What the tests and the examples of Express use. */
const expressTools = {
  after: '0.8.2',
  'connect-redis': '3.4.2',
  'cookie-parser': '1.4.6',
  'cookie-session': '2.0.0',
  ejs: '3.1.8',
  'express-session': '1.17.2',
  hbs: '4.2.0',
  marked: '0.7.0',
  'method-override': '3.0.0',
  methods: '1.1.2',
  mocha: '10.8.2',
  morgan: '1.10.0',
  multiparty: '4.2.3',
  'pbkdf2-password': '1.2.1',
  'safe-buffer': '5.2.1',
  supertest: '6.3.0',
  'utils-merge': '1.0.1',
  vhost: '3.0.2',
};

const expressFiles = [/^test\/[\w.-]+\.js$/, /^test\/acceptance\/[\w.-]+\.js$/];

/** Koa's own tests are in no registry; these of its middleware are, and they run the newest Koa over real requests. */
function koaSuite(middleware, version, file) {
  return {
    title: `Koa 3.3.0 with koa-${middleware}`,
    version,
    package: `koa-${middleware}@${version}`,
    install: { chai: '4.5.0', koa: '3.3.0', 'koa-route': '4.0.1', mocha: '10.8.2', should: '13.2.3', supertest: '6.3.0' },
    framework: 'mocha',
    files: [new RegExp(`^${file.replace('.', '\\.')}$`)],
    mocha: {},
  };
}

export const suites = {
  express4: {
    title: 'Express 4',
    version: '4.18.2',
    source: express4,
    install: expressTools,
    framework: 'mocha',
    files: expressFiles,
    mocha: { require: ['test/support/env.js'], checkLeaks: true },
  },
  express5: {
    title: 'Express 5',
    version: '5.3.0',
    package: 'express@5.3.0',
    tests: { ...express4, take: ['test', 'examples'] },
    install: expressTools,
    framework: 'mocha',
    files: expressFiles,
    mocha: { require: ['test/support/env.js'], checkLeaks: true },
  },
  'koa-jwt': koaSuite('jwt', '4.0.4', 'test/test.js'),
  'koa-range': koaSuite('range', '0.3.0', 'test/simple.js'),
  'koa-websocket': koaSuite('websocket', '7.0.0', 'test/test.js'),
  fastify: {
    title: 'Fastify',
    version: '5.6.0',
    package: 'fastify@5.6.0',
    install: {
      '@sinonjs/fake-timers': '11.3.1',
      'ajv-errors': '3.0.0',
      'fast-json-body': '1.1.0',
      'fastify-plugin': '5.1.0',
      'fluent-json-schema': '6.0.0',
      h2url: '0.2.0',
      'http-errors': '2.0.0',
      JSONStream: '1.3.5',
      'node-forge': '1.3.1',
      proxyquire: '2.1.3',
      split2: '4.2.0',
      undici: '6.21.3',
      vary: '1.1.2',
    },
    // The newest versions of it are ES modules, which Node 18 cannot require().
    overrides: { cookie: '1.0.2' },
    framework: 'script',
    files: [/^test\/.*\.test\.js$/],
    containing: /\blisten\(/,
    // HTTP/2 without TLS, which httpd then also announces in its answers.
    h2c: true,
    skip: [
      'Current opened connection should NOT continue to work after closing and return "connection: close" header - return503OnClosing: false',
      'http/2 request while fastify closing - return503OnClosing: false',
      'maxRequestsPerSocket',
      'maxRequestsPerSocket zero should behave same as null',
      'missing method from http client',
      'rejected incoming connections should be logged',
      'requestTimeout should return 408',
      'route-shorthand - trace',
      'same port conflict and success should not fire callback multiple times - callback',
      'same port conflict and success should not fire callback multiple times - promise',
      'Sending a response using req.socket => onResponse not called',
      'Should reply 400 on client error',
      'Should return 431 if request header fields are too large',
      'Should return 431 if URI is too long',
      'Should set the response from client error handler',
    ],
  },
  ws: {
    title: 'ws',
    version: '8.18.1',
    source: {
      debian: 'pool/main/n/node-ws/node-ws_8.18.1+~cs14.18.2.orig.tar.gz',
      sha256: 'f80308e18245a666ebfe76c8ce6180485ea608f182af2dfb2c08773b591c7bcb',
    },
    install: { mocha: '8.4.0' },
    framework: 'mocha',
    files: [/^test\/[\w-]+\.test\.js$/],
    mocha: { throwDeprecation: true },
    skip: ['WebSocket Connection establishing fails if the Upgrade header field value cannot be read'],
    certificate: { cert: 'test/fixtures/certificate.pem', key: 'test/fixtures/key.pem' },
  },
  node: {
    title: 'Node',
    version: '18.20.4',
    source: {
      debian: 'pool/main/n/nodejs/nodejs_18.20.4+dfsg.orig.tar.xz',
      sha256: '6ce58062c71eae37d9c5ac31eeaeff9c2d48561d21c2849179d056c9c1bd9ebc',
      take: ['test/common', 'test/fixtures', 'test/parallel/test-http-*'],
    },
    framework: 'script',
    files: [/^test\/parallel\/test-http-.*\.js$/],
    certificate: { cert: 'test/fixtures/keys/agent1-cert.pem', key: 'test/fixtures/keys/agent1-key.pem' },
  },
};
