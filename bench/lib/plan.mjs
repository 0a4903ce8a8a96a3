// Which measurements a run makes: scenarios × applications × contenders × cases, as the options choose them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../scripts/lib/steps.mjs';
import { applications } from '../applications.mjs';
import { benchFolder } from './paths.mjs';

async function modulesBelow(name) {
  const files = readdirSync(join(benchFolder, name)).filter((file) => file.endsWith('.mjs')).sort();
  return Promise.all(files.map(async (file) => (await import(join(benchFolder, name, file))).default));
}

/** In the order in which they are measured and reported. */
const order = (known) => (a, b) => (known.indexOf(a.name) + 1 || 1000) - (known.indexOf(b.name) + 1 || 1000);
const contenderOrder = ['nwsgi-embedded', 'nwsgi-daemon', 'c-location', 'c-resolved', 'static', 'mod_proxy', 'passenger', 'mod_wsgi-embedded', 'mod_wsgi-daemon', 'gunicorn', 'uwsgi', 'nginx', 'node'];
const scenarioOrder = ['requests', 'paced', 'bodies', 'gibibyte', 'headers', 'mounts', 'in-flight', 'sse', 'startup', 'reload', 'memory'];

export async function loadContenders() {
  return (await modulesBelow('contenders')).flat().sort(order(contenderOrder));
}

export async function loadScenarios() {
  return (await modulesBelow('scenarios')).flat().sort(order(scenarioOrder));
}

const glob = (pattern) => new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 'i');

/**
 * A pattern is words with "/" between them; a cell is chosen when each word is one of its names (scenario, application,
 * contender, case). "*" stands for anything.
 */
export function matches(patterns, names) {
  if (patterns.length === 0) return true;
  return patterns.some((pattern) => pattern.split('/').every((word) => names.some((name) => glob(word).test(name))));
}

/** True when the contender can serve the application and the scenario asks for it. */
export function takesPart(scenario, application, contender) {
  if (scenario.contenders !== undefined && !scenario.contenders.includes(contender.name)) return false;
  if (!contender.runs.some((kind) => application[kind] !== undefined)) return false;
  return contender.when?.(application) ?? true;
}

/** `rounds`: a number, or numbers by application, "other" for the rest. */
const roundsOf = ({ rounds = 1 }, application) => (typeof rounds === 'number' ? rounds : (rounds[application.name] ?? rounds.other));

/**
 * What is to be done: for each scenario and application the contenders with their cases.
 * @param {{quick: boolean, only: string[], rounds?: number, seconds?: number}} options
 */
export function makePlan(scenarios, contenders, options) {
  const plan = [];
  for (const scenario of scenarios) {
    const form = options.quick ? scenario.quick : scenario.full;
    // With --only, what the quick form leaves out can be asked for by its name.
    const named = options.only.length > 0;
    if (!form && !(named && options.quick)) continue;
    const settings = { ...scenario.full, ...form };
    for (const entry of scenario.applications) {
      const application = typeof entry === 'string' ? applications[entry] : entry;
      if (!named && form.applications !== undefined && !form.applications.includes(application.name)) continue;
      const cells = [];
      for (const contender of contenders.filter((candidate) => takesPart(scenario, application, candidate))) {
        const cases = scenario.cases.filter(({ name, when }) => {
          if (form && form.cases !== undefined && !form.cases.includes(name) && !matches(options.only, [name])) return false;
          if (!named && form.contenders !== undefined && !form.contenders.includes(contender.name)) return false;
          return (when?.(contender, application) ?? true) && matches(options.only, [scenario.name, application.name, contender.name, name]);
        });
        if (cases.length > 0) cells.push({ contender, cases });
      }
      if (cells.length === 0) continue;
      plan.push({ scenario, application, cells, rounds: options.rounds ?? roundsOf(settings, application), seconds: options.seconds ?? settings.seconds ?? 1 });
    }
  }
  return plan;
}

/** Throws when a pattern chooses nothing. */
export function unmatched(plan, patterns) {
  const names = plan.flatMap(({ scenario, application, cells }) => cells.flatMap(({ contender, cases }) => cases.map(({ name }) => [scenario.name, application.name, contender.name, name])));
  const idle = patterns.filter((pattern) => !names.some((one) => matches([pattern], one)));
  if (idle.length > 0 || names.length === 0) throw new UserError(`Nothing to measure is named ${idle.join(' ')}; npm run bench -- --list shows the names.`);
}

/** Seconds that a part of the plan takes, about. */
export function estimate({ scenario, cells, rounds, seconds }) {
  const each = (case_) => (scenario.takes?.({ seconds, ...case_ }) ?? seconds) + 0.4;
  const starts = scenario.fresh ? 0 : 1.5;
  return cells.reduce((sum, { cases }) => sum + starts + (scenario.warmUp ? 1.2 : 0) + rounds * cases.reduce((total, case_) => total + each(case_), 0), 0);
}
