// What the benchmark compares nwsgi with: Debian's packages, installed when the plan has something for them.
import { installPackages } from './debian.mjs';
import { step, UserError } from './steps.mjs';

/**
 * Installs what the contenders and applications of the plan need.
 * @returns {Promise<Map<string, string>>} contenders and packages that could not be had, and why
 */
export async function provideContenders(plan) {
  const missing = new Map();
  const contenders = new Set(plan.flatMap(({ cells }) => cells.map(({ contender }) => contender)));
  const packages = new Set(plan.flatMap(({ application }) => application.packages ?? []));
  for (const name of packages) {
    const reason = await attempt(name, (note) => installPackages([name], note));
    if (reason !== null) missing.set(name, reason);
  }
  for (const contender of contenders) {
    if (contender.provide === undefined && contender.packages === undefined) continue;
    const reason = await attempt(contender.title, async (note) => {
      const installed = await installPackages(contender.packages ?? [], note);
      await contender.provide?.(note);
      return installed;
    });
    if (reason !== null) missing.set(contender.name, reason);
  }
  return missing;
}

/** Null, or why it failed. */
async function attempt(name, work) {
  try {
    await step(name, async (note) => {
      const installed = (await work(note)) ?? [];
      return installed.length > 0 ? `installed ${installed.join(' ')}` : null;
    });
    return null;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}
