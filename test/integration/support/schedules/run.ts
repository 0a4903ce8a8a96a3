/** A server, clients that converse with it at random, and restarts and reloads in between. */
import { utimesSync } from 'node:fs';
import { childIdentity } from '../../../../scripts/lib/server-root.mjs';
import { sleep, waitFor, type HttpdServer, type Options } from '../../harness/index.js';
import { addWs } from '../websocket.js';
import { converse } from './conversations.js';
import { Random } from './random.js';
import { KEEP_ALIVE, Talk } from './talk.js';
import type { Timeline } from './timeline.js';

export interface Setting {
  mode: 'embedded' | 'daemon';
  park: 'Auto' | 'Off' | '0';
  seed: string;
  seconds: number;
  /** Of the server's child. */
  threads: number;
}

/** Fewer threads than clients, or so many that they are never all busy. */
export const threadsFor = (random: Random): number => random.of([3, CLIENTS * 2]);

const CLIENTS = 14;
const apps = ['content.mjs', 'wsgi.mjs', 'fetch.mjs', 'node.mjs'].map((name) => `schedules/${name}`);

export function scheduleServer({ mode, park, threads }: Setting): Options {
  const identity = childIdentity();
  const user = identity ? ` user=${identity.user} group=${identity.user}` : '';
  return {
    apps,
    threads,
    modules: ['status', 'reqtimeout'],
    logLevel: 'warn mpm_event:notice nwsgi:info',
    vhosts: [{}, { tls: true }],
    directives: (s) => [
      'AsyncRequestWorkerFactor 200',
      `KeepAliveTimeout ${KEEP_ALIVE / 1000}`,
      'MaxKeepAliveRequests 0',
      'SendBufferSize 32768',
      // The listening socket takes a connection that has sent nothing only after a second or more, otherwise.
      'AcceptFilter http none',
      'AcceptFilter https none',
      `WSGIParkAfter ${park}`,
      ...(mode === 'daemon' ? [`WSGIDaemonProcess schedules processes=2${user}`, 'WSGIProcessGroup schedules'] : []),
      // The Node server's fate is not that of the others.
      ...['wsgi', 'fetch', 'node'].map((name) => `WSGIScriptAlias /${name} ${s.app(`schedules/${name}.mjs`)} application-group=${name === 'node' ? 'node' : 'callables'}`),
      '<Location "/server-status">',
      'SetHandler server-status',
      '</Location>',
    ],
  };
}

export interface Outcome {
  conversations: number;
  kinds: Record<string, number>;
  /** A report for each conversation that went wrong. */
  problems: string[];
  /** The last conversation of each port of a client. */
  who: Map<number, string>;
}

/** Clients converse for `seconds`; with `restless`, the server is restarted and applications are reloaded meanwhile. */
export async function converseFor(server: HttpdServer, setting: Setting, timeline: Timeline, round: string, seconds: number, restless: boolean): Promise<Outcome> {
  const outcome: Outcome = { conversations: 0, kinds: {}, problems: [], who: new Map() };
  const end = performance.now() + seconds * 1000;
  const client = async (number: number) => {
    for (let turn = 1; performance.now() < end && outcome.problems.length < 5; turn++) {
      const name = `${round}-${number}-${turn}`;
      const random = new Random(setting.seed, name);
      const talk = new Talk(server, random, timeline, name, setting.threads < CLIENTS);
      const at = timeline.seconds;
      const { kind, problem } = await converse(talk);
      outcome.conversations += 1;
      outcome.kinds[kind] = (outcome.kinds[kind] ?? 0) + 1;
      const report =
        `  ${setting.mode}, WSGIParkAfter ${setting.park}, ${setting.threads} threads, seed ${setting.seed}, conversation ${name} (${kind}), begun at ${at.toFixed(1)} s\n` +
        talk.notes.map((note) => `    ${note}\n`).join('');
      if (talk.port !== undefined) outcome.who.set(talk.port, report);
      if (problem !== undefined) outcome.problems.push(`${problem}\n${report}  restarts and reloads: ${timeline.toString()}`);
      await sleep(random.integer(0, 30));
    }
  };
  const disturbances = restless ? disturb(server, new Random(setting.seed, round), timeline, end) : Promise.resolve();
  await Promise.all([...Array.from({ length: CLIENTS }, (_, number) => client(number)), disturbances]);
  outcome.kinds['graceful restarts'] = timeline.count('graceful');
  outcome.kinds.reloads = timeline.count('reload');
  return outcome;
}

async function disturb(server: HttpdServer, random: Random, timeline: Timeline, end: number): Promise<void> {
  for (;;) {
    await sleep(random.integer(300, 3500));
    if (performance.now() > end - 1000) return;
    if (random.chance(0.5)) await timeline.during('graceful', () => server.graceful());
    else await timeline.during('reload', async () => reload(server, random.of(['wsgi', 'fetch', 'node'])));
  }
}

function reload(server: HttpdServer, name: string): void {
  const now = new Date();
  utimesSync(server.app(`schedules/${name}.mjs`), now, now);
}

/** All is well, and everything is loaded. */
export async function warmUp(server: HttpdServer): Promise<void> {
  addWs(server);
  for (const name of ['wsgi', 'fetch', 'node']) {
    await waitFor(`/${name} answers`, async () => (await server.get(`/${name}?id=warm`)).status === 200, 20_000);
  }
}
