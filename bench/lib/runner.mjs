// Runs a plan: starts the contenders of an application, checks what they answer, and measures round by round, so that what
// disturbs the machine disturbs neighbours alike.
import { Group } from './host.mjs';
import { estimate, roundsOf } from './plan.mjs';

/**
 * @typedef {{scenario: string, application: string, contender: string, case: string, rounds: Record<string, number>[], invalid?: string, seconds?: number}} Result
 *   `rounds`: the figures of each round; `invalid`: why there are none; `seconds`: how long the last round took
 */

export class Runner {
  /** @param {{machine: object, load: import('./load.mjs').Load, progress: import('./progress.mjs').Progress, signal: AbortSignal}} tools */
  constructor({ machine, load, progress, signal, missing }) {
    Object.assign(this, { machine, load, progress, signal, missing });
    /** @type {Result[]} */
    this.results = [];
  }

  async run(plan) {
    this.progress.begin(plan.map(estimate));
    for (const part of plan) {
      this.progress.part(`${part.scenario.name}, ${part.application.name}`);
      await part.scenario.prepare?.(this.machine);
      const present = { ...part, cells: part.cells.filter(({ contender }) => this.#isPresent(contender, part)) };
      if (present.cells.length > 0) await (part.scenario.fresh ? this.#runFresh(present) : this.#runTogether(present));
      this.progress.partDone(part, this.results);
    }
    return this.results;
  }

  #isPresent(contender, { application }) {
    return !this.missing.has(contender.name) && !(application.packages ?? []).some((name) => this.missing.has(name));
  }

  #result(part, contender, case_) {
    const key = { scenario: part.scenario.name, application: part.application.name, contender: contender.name, case: case_.name };
    let result = this.results.find((known) => Object.entries(key).every(([name, value]) => known[name] === value));
    if (result === undefined) this.results.push((result = { ...key, rounds: [] }));
    return result;
  }

  #fail(part, { contender, cases }, error) {
    this.signal.throwIfAborted();
    for (const case_ of cases) this.#result(part, contender, case_).invalid ??= error.message;
  }

  /** All contenders run at once; they are measured one after the other. */
  async #runTogether(part) {
    const group = new Group(this.machine, { application: part.application, apache: part.scenario.apache });
    const places = new Map();
    try {
      for (const cell of part.cells) {
        try {
          this.progress.doing(`starting ${cell.contender.title}`);
          const place = await group.start(cell.contender);
          await this.#prepare(part, cell, place);
          places.set(cell, place);
        } catch (error) {
          this.#fail(part, cell, error);
        }
      }
      for (let round = 0; round < part.rounds; round += 1) {
        for (const case_ of part.scenario.cases) {
          // Who begins changes from round to round.
          const cells = part.cells.map((_, index) => part.cells[(index + round) % part.cells.length]);
          for (const cell of cells) {
            if (!cell.cases.includes(case_) || !places.has(cell) || round >= roundsOf(part, case_)) continue;
            await this.#measure(part, cell, case_, places.get(cell), round);
          }
        }
      }
    } finally {
      await group.stop();
    }
  }

  /** Each measurement has servers of its own. */
  async #runFresh(part) {
    for (let round = 0; round < part.rounds; round += 1) {
      for (const cell of part.cells) {
        for (const case_ of cell.cases.filter((one) => round < roundsOf(part, one))) {
          const group = new Group(this.machine, { application: part.application, apache: part.scenario.apache });
          try {
            const place = await group.start(cell.contender);
            await this.#prepare(part, { cases: [case_] }, place);
            await this.#measure(part, cell, case_, place, round);
          } catch (error) {
            this.#fail(part, { ...cell, cases: [case_] }, error);
          } finally {
            await group.stop();
          }
        }
      }
    }
  }

  async #prepare({ scenario }, { cases }, place) {
    this.signal.throwIfAborted();
    await scenario.check(place, this.load, cases);
    await scenario.warmUp?.(place, this.load);
  }

  async #measure(part, cell, case_, place, round) {
    this.signal.throwIfAborted();
    const result = this.#result(part, cell.contender, case_);
    if (result.invalid !== undefined || result.seconds > part.scenario.patience) return;
    this.progress.doing(`round ${round + 1} of ${part.rounds}, ${cell.contender.title}, ${case_.title}`);
    const began = performance.now();
    try {
      result.rounds.push(await part.scenario.measure({ place, load: this.load, seconds: part.seconds, round, machine: this.machine, ...case_ }));
      result.seconds = (performance.now() - began) / 1000;
    } catch (error) {
      this.#fail(part, { ...cell, cases: [case_] }, error);
    }
  }
}
