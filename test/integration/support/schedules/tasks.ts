/** What a request asks the applications of test/fixtures/apps/schedules for, and whether the answer is that. */
import { content } from '../../../fixtures/apps/schedules/content.mjs';
import type { RawResponse } from '../../harness/index.js';
import type { Random } from './random.js';

export interface Task {
  app: 'wsgi' | 'fetch' | 'node';
  id: string;
  /** Milliseconds before the answer begins. */
  delay: number;
  blocks: number;
  /** Bytes of each block. */
  size: number;
  /** Milliseconds between blocks. */
  gap: number;
  /** Content-Length is announced. */
  length: 0 | 1;
  /** "refuses": an exception before the head; "throws": one before the last block; "stops", "never": silence in their places. */
  end: 'complete' | 'refuses' | 'throws' | 'stops' | 'never';
  /** What the application does with the body: "late": reads it before the last block. */
  read: 'all' | 'none' | 'some' | 'late';
  /** Bytes of the request's body; not there: no body. */
  body?: number;
  chunked?: boolean;
  close?: boolean;
}

const endsOf: readonly Task['end'][] = ['complete', 'complete', 'complete', 'complete', 'complete', 'complete', 'complete', 'complete', 'throws', 'refuses'];
const delays = [0, 0, 0, 1, 2, 4, 10, 40, 150, 400];
const sizes = [0, 1, 10, 100, 1000, 8000, 8192, 20_000, 70_000, 150_000];

/** Most of them are small. `may`: the answer may be none, or be cut off. */
export function randomTask(random: Random, id: string, { may = false, body = random.chance(0.25) } = {}): Task {
  const blocks = random.chance(0.6) ? 1 : random.integer(2, 8);
  const task: Task = {
    app: random.of(['wsgi', 'fetch', 'node']),
    id,
    delay: random.of(delays),
    blocks,
    size: random.of(blocks === 1 ? sizes : sizes.slice(1, 8)),
    gap: random.of([0, 0, 1, 5, 30]),
    length: random.chance(0.5) ? 1 : 0,
    end: may ? random.of(endsOf) : 'complete',
    read: 'all',
  };
  // Nothing is missing of an answer of no bytes.
  if (task.end === 'throws') task.size = Math.max(task.size, 1);
  if (body) {
    task.body = random.of([0, 1, 1000, 16_384, 70_000, 300_000]);
    task.chunked = random.chance(0.4);
    task.read = random.of(['all', 'all', 'all', 'none', 'some', 'late']);
  }
  return task;
}

/** The request's head. `more`: further header lines. */
export function headOf(task: Task, more: readonly string[] = []): string {
  const { app, chunked, close, ...rest } = task;
  const query = new URLSearchParams(Object.entries(rest).map(([name, value]): [string, string] => [name, String(value)]));
  const lines = [`${task.body === undefined ? 'GET' : 'POST'} /${app}?${query.toString()} HTTP/1.1`, 'Host: localhost'];
  if (task.body !== undefined) lines.push(chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${task.body}`);
  if (close) lines.push('Connection: close');
  return `${[...lines, ...more].join('\r\n')}\r\n\r\n`;
}

/** A part of the request's body, as it is sent. */
export function bodyPart(task: Task, from: number, to: number): Buffer {
  const bytes = content(`body ${task.id}`, from, to - from);
  if (!task.chunked) return bytes;
  const parts = to > from ? [Buffer.from(`${(to - from).toString(16)}\r\n`), bytes, Buffer.from('\r\n')] : [];
  if (to === task.body) parts.push(Buffer.from('0\r\n\r\n'));
  return Buffer.concat(parts);
}

/** The whole body in one piece. */
export const wholeBody = (task: Task): Buffer => (task.body === undefined ? Buffer.alloc(0) : bodyPart(task, 0, task.body));

/** What is wrong with an answer; `cut`: it may end too early, as long as it does not look complete. */
export function problemOf(task: Task, response: RawResponse, { cut = false } = {}): string | undefined {
  if (response.status === 500 && (task.end === 'refuses' || task.end === 'throws')) return undefined;
  if (response.status !== 200) return `status ${response.status}: ${response.text.slice(0, 300)}`;
  if (task.end === 'refuses') return 'status 200 instead of 500';
  if (response.header('x-id') !== task.id) return `the answer of ${response.header('x-id')}`;
  const expected = content(task.id, 0, task.blocks * task.size);
  const body = response.body;
  if (!body.equals(expected.subarray(0, body.length))) return `wrong bytes among the ${body.length} that came`;
  const received = response.header('x-received');
  if (task.body !== undefined && task.read === 'all' && received !== String(task.body)) return `the application received ${received} bytes`;
  if (task.end !== 'complete') {
    // An answer whose last block is missing, and that has no end.
    return response.complete ? 'looks complete although the application failed' : undefined;
  }
  const framing = task.length || response.header('content-length') !== undefined ? 'length' : 'chunked';
  if (response.framing !== framing) return `framing ${response.framing} instead of ${framing}`;
  if (!response.complete) return cut ? undefined : `cut off after ${body.length} of ${expected.length} bytes`;
  return body.length === expected.length ? undefined : `${body.length} instead of ${expected.length} bytes`;
}

export const describeTask = (task: Task): string => JSON.stringify(task);
