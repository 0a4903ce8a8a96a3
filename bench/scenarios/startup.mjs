// From the start of the server to its first answer, with everything that has to be loaded for it.
export default {
  name: 'startup',
  title: 'Start-up to the first response',
  applications: ['hello', 'express', 'python', 'django'],
  cases: [{ name: 'start', title: 'start' }],
  columns: ['seconds', 'pss'],
  full: { rounds: 2, applications: ['hello', 'express', 'django'] },
  quick: { rounds: 1, applications: ['hello'], contenders: ['nwsgi-embedded', 'nwsgi-daemon'] },
  fresh: true,
  takes: () => 1.2,
  check: (place) => place.check({ body: 'Hello world\n' }),
  measure: async ({ place }) => ({ seconds: place.startSeconds, ...place.memory() }),
};
