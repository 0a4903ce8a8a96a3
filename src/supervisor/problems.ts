/**
 * Codes of the supervisor's log lines and of the answers that children get from it; docs/errors.md describes them. Where
 * embedded mode has the same situation the code is the same.
 */
export const Code = {
  tooManyWait: 'NWSGI3008',
  crashLoop: 'NWSGI3009',
  fresh: 'NWSGI3010',
  finishing: 'NWSGI3011',
  startedBroken: 'NWSGI3012',
  newVersionBroken: 'NWSGI3013',
  startTimeout: 'NWSGI3014',

  configRefused: 'NWSGI4201',
  spawnFailed: 'NWSGI4202',
  endedEarly: 'NWSGI4203',
  unusable: 'NWSGI4204',
  exited: 'NWSGI4205',
  signalled: 'NWSGI4206',
  heapExhausted: 'NWSGI4207',
  killedOutside: 'NWSGI4208',
  requestTimeout: 'NWSGI4209',
  loopBlocked: 'NWSGI4210',
  memoryLimit: 'NWSGI4211',
  stopTimeout: 'NWSGI4212',
  replaced: 'NWSGI4213',
  interrupted: 'NWSGI4214',
  reloaded: 'NWSGI4215',
  tableFull: 'NWSGI4216',
  stopping: 'NWSGI4217',
  scaled: 'NWSGI4218',
  badHello: 'NWSGI4219',
  optionRefused: 'NWSGI4220',
  fault: 'NWSGI4221',
  inactive: 'NWSGI4222',
  told: 'NWSGI4223',
} as const;
export type CodeText = (typeof Code)[keyof typeof Code];
