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
const roundsIn = ({ rounds = 1 }, application) => (typeof rounds === 'number' ? rounds : (rounds[application.name] ?? rounds.other));

/** Rounds of a case: those of the part, or fewer. */
export const roundsOf = (part, case_) => Math.min(part.rounds, case_.rounds ?? part.rounds);

/** True when a word of a pattern is this very name. */
const isNamed = (patterns, name) => patterns.some((pattern) => pattern.split('/').some((word) => glob(word).test(name)));

/** A form (full, quick) may be restricted to some names; what --only names is measured all the same. */
const isInForm = (restriction, patterns, name) => restriction === undefined || restriction.includes(name) || isNamed(patterns, name);

function casesOf(scenario, form, application, contender, only) {
  if (!takesPart(scenario, application, contender) || !isInForm(form.contenders, only, contender.name)) return [];
  return scenario.cases.filter(
    ({ name, when }) =>
      isInForm(form.cases, only, name) && (when?.(contender, application) ?? true) && matches(only, [scenario.name, application.name, contender.name, name]),
  );
}

/**
 * @typedef {{scenario: any, application: any, cells: {contender: any, cases: any[]}[], rounds: number, seconds: number}} Part
 *   the contenders of an application in a scenario, each with its cases
 */

/**
 * What is to be done: for each scenario and application the contenders with their cases.
 * @param {{name: string}[]} scenarios
 * @param {{name: string}[]} contenders
 * @param {{quick: boolean, only: string[], rounds?: number, seconds?: number}} options
 * @returns {Part[]}
 */
export function makePlan(scenarios, contenders, options) {
  const { quick, only, rounds, seconds } = options;
  const plan = [];
  for (const scenario of scenarios) {
    const form = quick ? scenario.quick || (isNamed(only, scenario.name) && scenario.full) : scenario.full;
    if (!form) continue;
    for (const entry of scenario.applications) {
      const application = typeof entry === 'string' ? applications[entry] : entry;
      if (!isInForm(form.applications, only, application.name)) continue;
      const cells = contenders
        .map((contender) => ({ contender, cases: casesOf(scenario, form, application, contender, only) }))
        .filter(({ cases }) => cases.length > 0);
      if (cells.length === 0) continue;
      plan.push({ scenario, application, cells, rounds: rounds ?? roundsIn(form, application), seconds: seconds ?? form.seconds ?? 1 });
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
export function estimate(part) {
  const { scenario, cells, seconds } = part;
  const starts = 0.8 + (scenario.warmUp ? 1.2 : 0);
  const one = (case_) => (scenario.takes?.({ seconds, ...case_ }) ?? seconds) + 0.3 + (scenario.fresh ? starts : 0);
  const all = (cases) => cases.reduce((sum, case_) => sum + roundsOf(part, case_) * one(case_), 0);
  return cells.reduce((sum, { cases }) => sum + (scenario.fresh ? 0 : starts) + all(cases), 0);
}
