/** The kinds of conversations that clients have with the server; each is one connection, and checks what it gets. */
import { ClosedWhileIdle, KEEP_ALIVE, Wrong, type Talk } from './talk.js';
import { bodyPart, headOf, randomTask, wholeBody, type Task } from './tasks.js';
import { webSocket } from './web-sockets.js';

type Conversation = (talk: Talk) => Promise<void>;

/** One request after the other, each after the last answer; with pauses, some of which are longer than KeepAliveTimeout. */
const inTurn: Conversation = async (talk) => {
  const { random } = talk;
  const count = random.integer(1, 5);
  for (let i = 1; i <= count; i++) {
    const task = randomTask(random, talk.id(), { may: i === count });
    task.close = i === count && random.chance(0.5);
    await talk.send(task, { pieces: random.integer(1, 4), gap: random.of([0, 0, 1, 20]) });
    const response = await talk.answer(task);
    if (task.close || talk.closes(response)) return talk.expectEnd();
    await talk.pause(random.of([0, 0, 0, 2, 30, random.chance(0.1) ? KEEP_ALIVE + 300 : 5]));
  }
  if (random.chance(0.1)) await talk.expectEnd();
};

/** Several requests at once, the answers in order. */
const pipelined: Conversation = async (talk) => {
  const { random } = talk;
  const tasks = Array.from({ length: random.integer(2, 6) }, () => randomTask(random, talk.id(), { body: random.chance(0.15) }));
  for (const task of tasks) {
    task.delay = Math.min(task.delay, 150);
    // Whose body was not read closes the connection: its sender may not be done.
    if (task.body !== undefined) task.read = 'all';
  }
  const last = tasks.at(-1) as Task;
  last.close = random.chance(0.6);
  const bytes = Buffer.concat(tasks.flatMap((task) => [Buffer.from(headOf(task)), wholeBody(task)]));
  talk.note(`pipelines ${JSON.stringify(tasks)}`);
  let sent = 0;
  const cuts = random.cuts(bytes.length, random.integer(1, 4));
  const sending = (async () => {
    for (const cut of cuts) {
      await talk.bytes(bytes.subarray(sent, cut));
      sent = cut;
      await talk.pause(random.of([0, 1, 20]));
    }
  })();
  for (const [index, task] of tasks.entries()) {
    const response = await talk.answer(task, { pipelined: index > 0 });
    if (talk.closes(response) && task !== last) talk.note('the server closes before the last request');
  }
  await sending;
  if (last.close) await talk.expectEnd();
};

/** Leaves at any moment: in the middle of the request, while the application works, in the middle of the answer. */
const leaving: Conversation = async (talk) => {
  const { random } = talk;
  const task = randomTask(random, talk.id(), { may: true });
  if (random.chance(0.3)) {
    task.end = random.of(['never', 'stops'] as const);
    // Behind a body that nobody reads, the end of the connection cannot be seen; without any answer, nobody writes, either.
    if (task.body !== undefined) task.read = 'all';
  }
  const request = Buffer.concat([Buffer.from(headOf(task)), wholeBody(task)]);
  talk.note(`asks for ${JSON.stringify(task)}`);
  const sent = random.chance(0.3) ? random.integer(1, request.length) : request.length;
  await talk.bytes(request.subarray(0, sent));
  await talk.pause(random.of([0, 1, 5, 20, 60, 200, 500]));
};

/** Closes its side after the request: the server may take that for an end, but what it sends is right. */
const halfClosing: Conversation = async (talk) => {
  const { random } = talk;
  const task = randomTask(random, talk.id(), { may: true });
  await talk.send(task);
  await talk.pause(random.of([0, 0, 1, 30]));
  talk.note('half-closes');
  talk.client.halfClose();
  await talk.answer(task, { cut: true });
  await talk.expectEnd();
};

/** Stops in the middle of its body for a while, then goes on, leaves, or half-closes. */
const stalling: Conversation = async (talk) => {
  const { random } = talk;
  const task: Task = { ...randomTask(random, talk.id(), { body: true }), read: random.of(['all', 'late', 'none']), body: random.of([10, 1000, 40_000, 200_000]) };
  const body = task.body as number;
  const half = random.integer(1, body - 1);
  talk.note(`asks for ${JSON.stringify(task)}, stops after ${half} bytes`);
  await talk.bytes(Buffer.concat([Buffer.from(headOf(task)), bodyPart(task, 0, half)]));
  await talk.pause(random.of([1, 20, 100, 400, 1200]));
  const then = random.of(['goes on', 'goes on', 'goes on', 'leaves', 'half-closes'] as const);
  talk.note(then);
  if (then === 'leaves') return;
  if (then === 'half-closes') {
    talk.client.halfClose();
    // The application is told that the body is no more; what it answers then may be anything, as long as it ends.
    return talk.client.waitForEnd(15_000).catch(() => {
      throw new Wrong('HANGS: half-closed in the middle of the body');
    });
  }
  await talk.sendBody(task, half, body, { pieces: random.integer(1, 3), gap: random.of([0, 1, 20]) });
  const response = await talk.answer(task);
  if (talk.closes(response)) return talk.expectEnd();
  const next = randomTask(random, talk.id(), { body: false });
  await talk.send(next);
  await talk.answer(next);
};

/** Takes a large answer in bits, with pauses. */
const readingSlowly: Conversation = async (talk) => {
  const { random } = talk;
  const task: Task = { ...randomTask(random, talk.id(), { body: false }), blocks: random.integer(1, 20), size: 50_000, gap: random.of([0, 0, 5]) };
  talk.client.pause();
  await talk.send(task);
  for (let i = random.integer(1, 4); i > 0; i--) {
    await talk.pause(random.of([10, 50, 200, 500]));
    talk.client.resume();
    await talk.pause(random.of([0, 1]));
    talk.client.pause();
  }
  if (random.chance(0.3)) return;
  talk.client.resume();
  const response = await talk.answer(task);
  if (talk.closes(response)) return talk.expectEnd();
  // The server had written it a while ago: its KeepAliveTimeout may be over.
  const next = randomTask(random, talk.id(), { body: false });
  await talk.send(next);
  await talk.answer(next, { late: true });
};

/** The head comes in pieces. */
const dribbling: Conversation = async (talk) => {
  const { random } = talk;
  const task = randomTask(random, talk.id(), { body: false });
  const request = Buffer.from(headOf(task));
  talk.note(`asks in pieces for ${JSON.stringify(task)}`);
  let sent = 0;
  for (const cut of random.cuts(request.length, random.integer(2, 5))) {
    await talk.bytes(request.subarray(sent, cut));
    sent = cut;
    await talk.pause(random.of([1, 10, 50]));
  }
  await talk.answer(task);
};

/** Waits for "100 Continue" for a moment, sends the body in any case. */
const expecting: Conversation = async (talk) => {
  const { random } = talk;
  const task: Task = { ...randomTask(random, talk.id(), { body: true }), read: 'all', body: random.of([1, 1000, 100_000]) };
  talk.note(`expects to be asked for the body of ${JSON.stringify(task)}`);
  await talk.bytes(headOf(task, ['Expect: 100-continue']));
  const until = performance.now() + random.of([0, 100, 1000]);
  while (performance.now() < until && talk.client.pending.length === 0 && !talk.client.ended) await talk.pause(5);
  await talk.sendBody(task, 0, task.body as number, { pieces: random.integer(1, 3) });
  const response = await talk.answer(task);
  if (talk.closes(response)) return talk.expectEnd();
};

/** Connects and says nothing. */
const silent: Conversation = async (talk) => talk.pause(talk.random.of([0, 10, 300]));

const kinds: readonly [name: string, weight: number, conversation: Conversation][] = [
  ['in turn', 6, inTurn],
  ['pipelined', 4, pipelined],
  ['leaving', 4, leaving],
  ['half-closing', 2, halfClosing],
  ['stalling', 3, stalling],
  ['reading slowly', 2, readingSlowly],
  ['dribbling', 1, dribbling],
  ['expecting', 1, expecting],
  ['silent', 1, silent],
  ['WebSocket', 2, webSocket],
];

const weighted = kinds.flatMap(([name, weight, conversation]) => Array.from({ length: weight }, () => ({ name, conversation })));

/** One conversation of a random kind. Returns its kind, and what was wrong, or undefined. */
export async function converse(talk: Talk): Promise<{ kind: string; problem?: string }> {
  const { name: kind, conversation } = talk.random.of(weighted);
  try {
    // WebSockets have a client of their own.
    if (conversation !== webSocket) await talk.connect();
    await conversation(talk);
    return { kind };
  } catch (error) {
    if (error instanceof ClosedWhileIdle) return { kind };
    const problem = error instanceof Wrong ? error.message : String((error as Error).stack);
    return { kind, problem };
  } finally {
    talk.leave();
  }
}
