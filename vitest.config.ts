import { defineConfig } from 'vitest/config';

const httpd = {
  pool: 'forks',
  // On two cores: what a test does with its server is mostly waiting.
  maxWorkers: 3,
  testTimeout: 30_000,
  hookTimeout: 60_000,
  // Real servers, real signals, two cores: a test that fails is tried once more, and npm test names it when it then passes.
  retry: 1,
} as const;

/** What declares process groups itself, or serves no request of an application: it runs once, in the project "integration". */
const ofOneMode = ['daemon/**', 'serve/**', 'harness.test.ts', 'configuration.test.ts'].map((name) => `test/integration/${name}`);

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], environment: 'node' } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: ['test/integration/soak/**'],
          environment: 'node',
          ...httpd,
        },
      },
      {
        test: {
          // The same files once more: applications run in the workers of a process group (test/integration/harness/mode.ts).
          name: 'daemon',
          include: ['test/integration/**/*.test.ts'],
          exclude: ['test/integration/soak/**', ...ofOneMode],
          environment: 'node',
          env: { NWSGI_TEST_MODE: 'daemon' },
          ...httpd,
        },
      },
      { test: { name: 'quick', include: ['test/frameworks/quick/**/*.test.ts'], environment: 'node', ...httpd } },
      {
        test: {
          name: 'quick-daemon',
          include: ['test/frameworks/quick/**/*.test.ts'],
          exclude: ['test/frameworks/quick/serve.test.ts'],
          environment: 'node',
          env: { NWSGI_TEST_MODE: 'daemon' },
          ...httpd,
        },
      },
      { test: { name: 'frameworks', include: ['test/frameworks/**/*.test.ts'], environment: 'node', ...httpd } },
      {
        test: {
          name: 'soak',
          include: ['test/integration/soak/**/*.test.ts'],
          environment: 'node',
          ...httpd,
          maxWorkers: 1,
          testTimeout: 600_000,
        },
      },
    ],
  },
});
