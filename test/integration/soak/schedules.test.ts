// Clients that do at random what clients do, with applications that do what applications do, while the server is restarted and
// applications are reloaded: every byte that arrives is right, nothing is lost, nothing is left.
//
// What may fail, and nothing else:
// * a request that goes out on an idle connection just when KeepAliveTimeout ends, or the server restarts: closed before any byte
//   of an answer (over TLS also the first one: the connection was idle after its handshake). The event MPM closes its idle
//   connections also whenever all of its threads are busy;
// * pipelined requests behind an answer with "Connection: close";
// * the answer to a client that has half-closed: cut off, or none;
// * WebSockets while, and 20 s after, the server is restarted or their application reloaded.
//
// npm run test:chaos -- [--seconds N] [--seed S] [--mode embedded|daemon] [--park Auto|Off|0]
import { expect, it } from 'vitest';
import { sanitized, waitFor, withServer, type HttpdServer } from '../harness/index.js';
import { Random } from '../support/schedules/random.js';
import { expectRest, holdings, trends, unexpectedLines, type Holdings } from '../support/schedules/leftovers.js';
import { Timeline } from '../support/schedules/timeline.js';
import { converseFor, scheduleServer, threadsFor, warmUp, type Outcome, type Setting } from '../support/schedules/run.js';

const { NWSGI_CHAOS_SECONDS, NWSGI_CHAOS_SEED, NWSGI_CHAOS_MODE, NWSGI_CHAOS_PARK } = process.env;
const seconds = Number(NWSGI_CHAOS_SECONDS ?? 20);
const seed = NWSGI_CHAOS_SEED ?? String(Date.now() % 1_000_000);
const modes = (NWSGI_CHAOS_MODE?.split(',') ?? ['embedded', 'daemon']) as Setting['mode'][];
const parks = (NWSGI_CHAOS_PARK?.split(',') ?? ['Auto', '0']) as Setting['park'][];
const settings: Setting[] = modes.flatMap((mode) => parks.map((park) => ({ mode, park, seed, seconds, threads: threadsFor(new Random(seed, mode, park)) })));

const CALM_ROUNDS = 4;
const MOST_MEMORY = 24 * 1024 * 1024;

function expectNoProblem({ problems }: Outcome): void {
  if (problems.length > 0) throw new Error(`${problems.length} conversations went wrong:\n\n${problems.join('\n\n')}`);
}

const summary = ({ conversations, kinds }: Outcome) =>
  `${conversations} conversations: ${Object.entries(kinds).map(([kind, count]) => `${count} ${kind}`).join(', ')}`;

it.each(settings)('$seconds s of random clients, $mode, WSGIParkAfter $park, $threads threads (seed $seed)', { retry: 0, timeout: (seconds * 2 + 240) * 1000 }, async (setting) => {
  const options = scheduleServer(setting);
  await withServer(options, async (s: HttpdServer) => {
    await warmUp(s);
    const timeline = new Timeline();
    const restless = await converseFor(s, setting, timeline, 'restless', seconds * 0.6, true);
    console.log(`${setting.mode}, WSGIParkAfter ${setting.park}, seed ${seed}: ${summary(restless)}`);
    expectNoProblem(restless);
    await expectRest(s, restless.who);
    const rounds: Holdings[][] = [];
    for (let i = 1; i <= CALM_ROUNDS; i++) {
      const calm = await converseFor(s, setting, timeline, `calm-${i}`, (seconds * 0.4) / CALM_ROUNDS, false);
      expectNoProblem(calm);
      await expectRest(s, calm.who);
      rounds.push(await holdings(s));
    }
    console.log(rounds.map((round) => round.map(({ pid, descriptors, threads, resident }) => `${pid}: ${descriptors} fds, ${threads} threads, ${resident >> 20} MiB`).join('; ')).join('\n'));
    // A child that still counts a connection would not leave.
    const [old] = s.children();
    await s.graceful();
    await waitFor('the last child leaves', () => !s.children().includes(old as number));
    if (!sanitized) expect(trends(rounds, MOST_MEMORY)).toEqual([]);
    const lines = unexpectedLines(s.log());
    if (lines.length > 0) throw new Error(`${lines.length} unexpected lines in the error log:\n${lines.slice(0, 20).join('\n')}`);
  });
});
