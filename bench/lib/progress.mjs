// Where a run is, and how long it still takes: one line on a terminal; elsewhere a line for each part.
import { figureOf } from './figures.mjs';
import { spread } from './statistics.mjs';

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;

export class Progress {
  #live = process.stdout.isTTY;
  #estimates = [];
  #part = -1;
  #name = '';
  #began = performance.now();
  #partBegan = 0;

  begin(estimates) {
    this.#estimates = estimates;
    this.#began = performance.now();
    console.log(`${estimates.length} parts, about ${clock(this.#left())} min`);
  }

  part(name) {
    this.#part += 1;
    this.#name = name;
    this.#partBegan = performance.now();
    if (!this.#live) console.log(`${this.#where()} ${name}`);
  }

  doing(what) {
    if (this.#live) process.stdout.write(`\r\u001b[K${this.#where()} ${this.#name}: ${what}`.slice(0, (process.stdout.columns || 120) + 4));
  }

  /** Prints the figures of a part that has been measured. */
  partDone({ scenario, application, cells }, results) {
    if (this.#live) process.stdout.write('\r\u001b[K');
    console.log(`\n${scenario.title} (${application.title})`);
    for (const { contender, cases } of cells) {
      for (const case_ of cases) {
        const result = results.find((one) => one.scenario === scenario.name && one.application === application.name && one.contender === contender.name && one.case === case_.name);
        console.log(`  ${contender.title.padEnd(40)} ${case_.title.padEnd(18)} ${describe(scenario, result)}`);
      }
    }
  }

  #left() {
    const done = this.#estimates.slice(0, Math.max(0, this.#part)).reduce((sum, seconds) => sum + seconds, 0);
    const all = this.#estimates.reduce((sum, seconds) => sum + seconds, 0);
    // The machine's own pace, once there is something to judge it by.
    const pace = done > 20 ? (this.#partBegan - this.#began) / 1000 / done : 1;
    const current = this.#part < 0 ? 0 : Math.min((performance.now() - this.#partBegan) / 1000, this.#estimates[this.#part] * pace);
    return Math.max(0, (all - done) * pace - current);
  }

  #where() {
    return `[${this.#part + 1}/${this.#estimates.length}, ${clock(this.#left())} left]`;
  }
}

/** Medians in one line. */
export function describe(scenario, result) {
  if (result === undefined) return 'not installed';
  if (result.invalid !== undefined) return `invalid: ${result.invalid.split('\n')[0]}`;
  return scenario.columns
    .map((name) => {
      const figure = figureOf(scenario, name);
      const value = spread(result.rounds.map((round) => round[name]));
      return value === null ? null : `${figure.title} ${figure.write(value.median)}`;
    })
    .filter((text) => text !== null)
    .join(', ');
}
