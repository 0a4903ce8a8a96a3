/** Conversations over WebSockets: echoes, bursts of the server's, silence, and every kind of end. */
import { content } from '../../../fixtures/apps/schedules/content.mjs';
import { WebSocketClient } from '../websocket.js';
import { Wrong, type Talk } from './talk.js';

export async function webSocket(talk: Talk): Promise<void> {
  const { random } = talk;
  const begin = performance.now();
  const host = talk.tls ? 1 : 0;
  talk.note(`opens a WebSocket${talk.tls ? ' with TLS' : ''}`);
  const socket = await WebSocketClient.open(talk.server.url('/node', host).replace('http', 'ws'));
  try {
    for (let i = random.integer(0, 4); i > 0; i--) {
      if (random.chance(0.5)) await echo(talk, socket);
      else await burst(talk, socket);
      await talk.pause(random.of([0, 0, 5, 50, 300]));
    }
    await end(talk, socket);
  } catch (error) {
    // What is replaced, or stops, closes its WebSockets.
    const ended = socket.ws.readyState !== socket.ws.OPEN;
    if (ended && talk.timeline.disturbedSince(begin) && !(error instanceof Wrong)) talk.note('closed by the server');
    else throw error;
  } finally {
    socket.ws.terminate();
  }
}

async function next(socket: WebSocketClient, what: string): Promise<Buffer> {
  const ended = socket.closed.then(() => undefined);
  const message = await Promise.race([socket.message(), ended]);
  if (message === undefined) throw new Error(`the WebSocket was closed: ${what}`);
  return message.data;
}

async function echo(talk: Talk, socket: WebSocketClient): Promise<void> {
  const id = talk.id();
  const count = talk.random.integer(1, 4);
  const size = talk.random.of([0, 1, 125, 126, 1000, 70_000, 200_000]);
  talk.note(`sends ${count} messages of ${size} bytes (${id})`);
  for (let i = 0; i < count; i++) socket.ws.send(content(id, i, size));
  for (let i = 0; i < count; i++) {
    if (!(await next(socket, id)).equals(content(id, i, size))) throw new Wrong(`message ${i} of ${id} came back otherwise`);
  }
}

async function burst(talk: Talk, socket: WebSocketClient): Promise<void> {
  const id = talk.id();
  const count = talk.random.integer(1, 30);
  const size = talk.random.of([1, 1000, 20_000]);
  talk.note(`asks for ${count} messages of ${size} bytes (${id})`);
  socket.ws.send(`burst ${id} ${count} ${size}`);
  if (talk.random.chance(0.3)) {
    socket.ws.pause();
    await talk.pause(talk.random.of([10, 200, 600]));
    socket.ws.resume();
  }
  for (let i = 0; i < count; i++) {
    if (!(await next(socket, id)).equals(content(id, i * size, size))) throw new Wrong(`message ${i} of ${id} is another one`);
  }
}

async function end(talk: Talk, socket: WebSocketClient): Promise<void> {
  const way = talk.random.of(['closes', 'asks to be closed', 'terminates'] as const);
  talk.note(way);
  if (way === 'terminates') return;
  if (way === 'closes') socket.ws.close(1000);
  else socket.ws.send('close');
  const { code } = await socket.end(15_000);
  if (code !== 1000) throw new Error(`the WebSocket was closed with ${code}`);
}
