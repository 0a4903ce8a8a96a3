/** How a worker ended: what the log says, and what the children of httpd tell the requests that were lost with it. */
import { LogLevel } from './log.js';
import { EXIT_UNUSABLE } from './messages.js';
import type { LogLevelNumber } from '../native.js';
import { Code } from './problems.js';
import type { CodeText } from './problems.js';
import type { ExitInfo } from './scoreboard.js';

/** Node's exit code for options that it does not take. */
const BAD_OPTION = 9;

/** Why the supervisor killed a worker. */
export type KillReason = 'requestTimeout' | 'loopBlocked' | 'memoryLimit' | 'stopTimeout' | 'startTimeout';

export interface Ending {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /** It could not even be started. */
  spawnError?: Error | undefined;
  killed?: KillReason | undefined;
  /** Its JavaScript was interrupted shortly before, for this reason: Node does not always survive that. */
  interrupted?: 'requestTimeout' | 'loopBlocked' | undefined;
  /** What it said itself about its end. */
  lastWords?: { code: string; status: number; text: string } | undefined;
  /** V8 said so on its standard error. */
  heapExhausted: boolean;
  /** The kernel killed some process for lack of memory at about this time. */
  kernelMemoryKill: boolean;
  ready: boolean;
  /** It was told to end, or had begun to end by itself when its environment told it. */
  leaving: boolean;
  /** Milliseconds. */
  lifetime: number;
  /** Requests in progress. */
  active: number;
  /** More about `killed`, for the line: "was silent for 300 s". */
  detail?: string | undefined;
}

export interface ExitReport extends ExitInfo {
  level: LogLevelNumber;
  code: CodeText;
}

/** `who` names the worker: "worker 123 (slot 0) of process group 'g'". */
export function reportOf(ending: Ending, who: string): ExitReport {
  const { level, code, status, what } = judge(ending);
  const requests = ending.active === 0 ? '' : ending.active === 1 ? '; one request was in progress' : `; ${ending.active} requests were in progress`;
  const time = ending.spawnError === undefined ? ` after ${seconds(ending.lifetime)}` : '';
  return { level, code, status, text: `${who} ${what}${time}${requests}` };
}

interface Judgement {
  level: LogLevelNumber;
  code: CodeText;
  status: ExitInfo['status'];
  what: string;
}

function judge(ending: Ending): Judgement {
  const { exitCode, signal, spawnError, killed, heapExhausted, ready, leaving } = ending;
  const error = (code: CodeText, status: ExitInfo['status'], what: string): Judgement => ({ level: LogLevel.error, code, status, what });
  if (spawnError !== undefined) return { level: LogLevel.critical, code: Code.spawnFailed, status: 503, what: `could not be started: ${spawnError.message}` };
  if (killed !== undefined) return judgeKilled(killed, 'was killed:', ending.detail);
  if (ending.interrupted !== undefined && !(exitCode === 0 && leaving)) return judgeKilled(ending.interrupted, 'ended after it was interrupted:', ending.detail);
  if (heapExhausted) return error(Code.heapExhausted, 502, 'ended: its JavaScript heap was exhausted');
  if (!ready && (exitCode === EXIT_UNUSABLE || (exitCode === BAD_OPTION && ending.lastWords === undefined))) {
    return { level: LogLevel.critical, code: Code.unusable, status: 503, what: `cannot work (${manner(ending)}); see the lines before` };
  }
  if (leaving && signal === null) return { level: LogLevel.debug, code: Code.told, status: 503, what: 'has ended, as it was told' };
  if (!ready) return error(Code.endedEarly, 503, `ended before it was ready (${manner(ending)})`);
  if (signal === 'SIGKILL') {
    const who = ending.kernelMemoryKill ? 'the kernel, which was out of memory' : 'somebody else (SIGKILL)';
    return error(Code.killedOutside, 502, `was killed by ${who}`);
  }
  if (signal !== null) return error(Code.signalled, 502, `was ended by ${signal}`);
  return error(Code.exited, statusOf(ending.lastWords?.status), `ended by itself (${manner(ending)})`);
}

function judgeKilled(killed: KillReason, how: string, detail = ''): Judgement {
  const level = LogLevel.error;
  const because = detail === '' ? '' : ` ${detail}`;
  switch (killed) {
    case 'requestTimeout':
      // The request that took too long was answered when it had; these are others.
      return { level, code: Code.requestTimeout, status: 503, what: `${how} a request took longer than request-timeout and its event loop stood still${because}` };
    case 'loopBlocked':
      return { level, code: Code.loopBlocked, status: 504, what: `${how} its event loop stood still${because}` };
    case 'memoryLimit':
      return { level, code: Code.memoryLimit, status: 502, what: `${how} it used more memory than memory-limit allows${because}` };
    case 'stopTimeout':
      return { level: LogLevel.warning, code: Code.stopTimeout, status: 503, what: `${how} it did not end in time when it was told to${because}` };
    case 'startTimeout':
      return { level, code: Code.startTimeout, status: 504, what: `${how} it did not finish loading${because} (a top-level await that never ends?)` };
  }
}

function manner({ exitCode, signal, lastWords }: Ending): string {
  const end = signal === null ? `exit code ${exitCode ?? '?'}` : signal;
  return lastWords === undefined ? end : `${end}; ${lastWords.code} ${lastWords.text}`;
}

function statusOf(status: number | undefined): ExitInfo['status'] {
  return status === 503 || status === 504 ? status : 502;
}

export function seconds(milliseconds: number): string {
  return milliseconds < 9_950 ? `${(milliseconds / 1000).toFixed(1)} s` : `${Math.round(milliseconds / 1000)} s`;
}
