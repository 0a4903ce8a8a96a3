/** What may be left of conversations: nothing. */
import { readdirSync, readFileSync } from 'node:fs';
import { openDescriptors, residentBytes, sleep, waitFor, type HttpdServer } from '../../harness/index.js';

/** Parked connections, as mod_status counts them. Its other numbers of connections are those of up to 30 s ago. */
async function parked(server: HttpdServer): Promise<number> {
  const text = (await server.get('/server-status?auto', { Connection: 'close' })).text;
  const total = /^ConnsParked: (\d+)$/m.exec(text);
  if (total === null) throw new Error(`mod_status says:\n${text}`);
  return Number(total[1]);
}

/** The server's ends of connections, with the client's port and the state: 01 established, 08 closed by the client. */
function sockets(server: HttpdServer): { port: number; state: string }[] {
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => /^ *\d+: \w+:(\w+) \w+:(\w+) (\w+)/.exec(line))
    .filter((match) => match !== null && server.ports.includes(Number.parseInt(match[1] as string, 16)) && !['06', '0A'].includes(match[3] as string))
    .map((match) => ({ port: Number.parseInt(match?.[2] as string, 16), state: match?.[3] as string }));
}

/**
 * No connection is left, and children that were to leave have left. What a child may take for that: keep-alive (1 s), the
 * time for which a stopping child lets requests go on (15 s), closing (30 s, for a client that neither reads nor leaves).
 * @param who the conversation of each port of a client
 */
export async function expectRest(server: HttpdServer, who: ReadonlyMap<number, string>): Promise<void> {
  let last = '';
  const open = () => sockets(server).map(({ port, state }) => `state ${state}, port ${port}\n${who.get(port) ?? ''}`);
  const atRest = async () => {
    const count = sockets(server).length;
    const children = server.children().length;
    const ofModule = count === 0 ? await parked(server) : 0;
    last = `${count} connections, ${ofModule} parked, ${children} children`;
    return count === 0 && ofModule === 0 && children === 1;
  };
  await waitFor('rest', atRest, 40_000, 100).catch(() => {
    throw new Error(`the server does not come to rest: ${last}\n${open().join('\n')}`);
  });
}

export interface Holdings {
  pid: number;
  descriptors: number;
  threads: number;
  resident: number;
}

const threadsOf = (pid: number) => readdirSync(`/proc/${pid}/task`).length;

/** What the server's processes hold while nothing happens. */
export async function holdings(server: HttpdServer): Promise<Holdings[]> {
  // V8 collects, and pools of closed connections are destroyed, a while later.
  await sleep(1500);
  return [...server.children(), ...server.workers()].map((pid) => ({
    pid,
    descriptors: openDescriptors(pid),
    threads: threadsOf(pid),
    resident: residentBytes(pid),
  }));
}

/** How much more there may be after the last round than after the first: kept connections to workers, and threads that were missing. */
const most = { descriptors: 20, threads: 6 } as const;

/** What grew over rounds of equal work, hundreds of conversations, in processes that lived through all of them. */
export function trends(rounds: readonly Holdings[][], mostMemory: number): string[] {
  const found: string[] = [];
  for (const first of rounds[0] ?? []) {
    const life = rounds.flatMap((round) => round.find(({ pid }) => pid === first.pid) ?? []);
    const last = life.at(-1) as Holdings;
    if (life.length < rounds.length || life.length < 3) continue;
    for (const key of ['descriptors', 'threads'] as const) {
      if (last[key] > first[key] + most[key]) found.push(`process ${first.pid}: ${key} ${life.map((holding) => holding[key]).join(', ')}`);
    }
    if (last.resident > (life[1] as Holdings).resident + mostMemory) {
      found.push(`process ${first.pid}: resident MiB ${life.map(({ resident }) => (resident / 2 ** 20).toFixed(1)).join(', ')}`);
    }
  }
  return found;
}

/** Lines from level "warn" on that say more than what conversations were told to provoke. */
export function unexpectedLines(log: string, seen: Set<string> = new Set()): string[] {
  return log.split('\n').filter((line) => {
    if (!/^\[[^\]]+\] \[\w+:(warn|error|crit|alert|emerg)\]/.test(line) && !/WRONG BODY|Sanitizer|assert|terminate called/i.test(line)) return false;
    const known = expectedLines.find((pattern) => pattern.test(line));
    if (known !== undefined) seen.add(known.source);
    return known === undefined;
  });
}

const expectedLines = [
  // Applications that were told to fail, with their stacks.
  /as told/,
  / {4}at /,
  // Of the certificate, and of mod_ssl itself.
  /\[ssl:warn\]/,
  /NWSGI(2201|2202|1212)\b/,
  // A client left in the middle of its body.
  /NWSGI(1208|1210)\b/,
  // WebSockets that are open when their application is replaced.
  /NWSGI2403\b/,
  // A restart finds the places of children that serve their last requests still taken.
  /AH00288|AH00484|AH00485|AH10159/,
];
