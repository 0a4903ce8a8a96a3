/** What has to hold of a load during which workers were killed. */
import { expect } from 'vitest';
import type { HttpdServer } from '../harness/index.js';
import { notesOf, type Kill, type Outcome } from './chaos.js';

/** Only what was in progress in a killed process has failed, and every other answer is complete and correct. */
export function expectOnlyVictimsFailed(s: HttpdServer, outcomes: readonly Outcome[], kills: readonly Kill[]): void {
  const notes = notesOf(s);
  const killed = new Set(kills.map(({ pid }) => pid));
  const begunIn = new Map<number, number[]>();
  for (const [pid, { begun }] of notes) for (const id of begun) begunIn.set(id, [...(begunIn.get(id) ?? []), pid]);
  const wrong: string[] = [];
  for (const outcome of outcomes) {
    const processes = begunIn.get(outcome.id) ?? [];
    const say = (what: string) => wrong.push(`request ${outcome.id} (status ${outcome.status}, ${outcome.problem || 'complete'}, begun in ${processes.join(' and ') || 'none'}): ${what}`);
    if (processes.length > 1) say('ran twice');
    if (outcome.problem === '') {
      if (processes[0] !== outcome.pid) say(`answered by ${outcome.pid}`);
      continue;
    }
    const inProgress = kills.find(({ at }) => outcome.begin < at && outcome.end > at);
    if (inProgress === undefined) say('failed although no process was killed meanwhile');
    else if (processes.length === 1 && !killed.has(processes[0] as number)) say('its process was not killed');
    else if (outcome.status !== 502 && !(outcome.status === 200 && outcome.problem.startsWith('cut off'))) say('no 502');
  }
  expect(wrong.slice(0, 20)).toEqual([]);
}

/** Each 502 and each killed process has its reason in the log. */
export function expectReasons(s: HttpdServer, outcomes: readonly Outcome[], kills: readonly Kill[]): void {
  const log = s.log();
  for (const { pid } of kills) expect(log, `the end of process ${pid}`).toMatch(new RegExp(`NWSGI4\\d{3}[^\\n]*\\b${pid}\\b[^\\n]*SIGKILL|NWSGI4\\d{3}[^\\n]*SIGKILL[^\\n]*\\b${pid}\\b`));
  // NWSGI4105 where the supervisor's own line, which says more, came too late for the request's.
  const killed = new Set(kills.map(({ pid }) => pid));
  const reported = [...log.matchAll(/\[client [^\]]*\] NWSGI(?:42\d\d|4105)[^\n]*?\bworker (?:process )?(\d+)/g)].filter(([, pid]) => killed.has(Number(pid)));
  const failed = outcomes.filter(({ problem }) => problem !== '').length;
  expect(reported.length, 'log lines of requests that failed').toBe(failed);
}

/** In each second after a kill as much was answered as was asked, but for a tenth. */
export function expectThroughput(outcomes: readonly Outcome[], kills: readonly Kill[], rate: number): void {
  const slow: string[] = [];
  for (const { at } of kills) {
    const answered = outcomes.filter(({ end, problem }) => problem === '' && end > at && end <= at + 1000).length;
    if (answered < rate * 0.9) slow.push(`${answered} answers in the second after ${at.toFixed(0)}`);
  }
  expect(slow).toEqual([]);
}
