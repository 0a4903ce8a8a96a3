// npm run build [-- --native | --typescript | --target NAME]: set-up and build, nothing is started.
import { parseArgs } from 'node:util';
import { setUp } from './lib/setup.mjs';
import { main } from './lib/steps.mjs';



await main(async () => {
  const { values } = parseArgs({
    options: { native: { type: 'boolean' }, typescript: { type: 'boolean' }, target: { type: 'string' } },
  });
  const only = values.native ? 'native' : values.typescript ? 'typescript' : undefined;
  await setUp({ only, target: values.target });
});
