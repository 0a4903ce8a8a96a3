// The command line of npm run bench.
import { Command, InvalidArgumentError } from 'commander';
import { applications } from '../applications.mjs';

function positive(text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It is a whole number, 1 or more.');
  return number;
}

/** Names that stand for a selection. */
export const presets = {
  hello: ['requests/hello/nwsgi-embedded', 'requests/hello/c-*'],
  daemon: ['requests/hello/nwsgi-*', 'requests/hello/mod_proxy', 'requests/python/mod_wsgi-daemon'],
  frameworks: ['requests/http', 'requests/express', 'requests/fastify', 'requests/hono'],
  python: ['requests/python/*wsgi-*', 'requests/flask/*wsgi-*', 'paced'],
};

/** @returns {{only: string[], quick: boolean, rounds?: number, seconds?: number, check: boolean, list: boolean, pin: boolean, profile?: string}} */
export function parseOptions(args) {
  const command = new Command('npm run bench --')
    .argument('[name]', `a selection: ${Object.keys(presets).join(', ')}; or "profile"`)
    .argument('[application]', 'with "profile": whose requests; without, hello world')
    .option('--quick', 'the everyday form: less than three minutes', false)
    .option('--only <patterns...>', 'only what these choose: names of scenarios, applications, contenders and cases, "/" between them; "*" stands for anything', [])
    .option('--rounds <number>', 'rounds of each measurement', positive)
    .option('--seconds <number>', 'seconds of each measurement', positive)
    .option('--check', 'exit 1 unless what the benchmark must show is so', false)
    .option('--list', 'list what there is to measure', false)
    .option('--no-pin', 'let the system place servers and load on the CPUs')
    .option('--update-readme', "write the README's table from this run", false);
  command.parse(args, { from: 'user' });
  const [name, application] = command.args;
  if (name !== undefined && name !== 'profile' && !(name in presets)) command.error(`There is no selection "${name}"; there are ${Object.keys(presets).join(', ')} and "profile".`);
  if (application !== undefined && !(application in applications)) command.error(`There is no application "${application}"; there are ${Object.keys(applications).join(', ')}.`);
  const options = command.opts();
  return { ...options, only: [...options.only, ...(presets[name] ?? [])], profile: name === 'profile' ? (application ?? 'hello') : undefined };
}
