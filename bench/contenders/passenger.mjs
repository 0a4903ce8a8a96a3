// Passenger for Apache, Debian's package: one process of the application.
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageVersion } from '../lib/machine.mjs';

const libraries = '/usr/lib/ruby/vendor_ruby/phusion_passenger/locations.ini';

export default {
  name: 'passenger',
  title: 'Passenger for Apache',
  runs: ['node'],
  /** The other frameworks say nothing more about it. */
  when: ({ name }) => !['http', 'fastify', 'hono'].includes(name),
  packages: ['libapache2-mod-passenger'],
  version: () => packageVersion('passenger'),
  async start(host) {
    const root = host.newFolder('passenger');
    mkdirSync(join(root, 'tmp'));
    mkdirSync(join(root, 'public'));
    // Passenger gives the application a socket of its own for the port that it names.
    writeFileSync(join(root, 'app.js'), `import(${JSON.stringify(host.script('node'))});\n`);
    const restart = join(root, 'tmp', 'restart.txt');
    const server = await host.startApache({
      modules: ['passenger'],
      directives: ({ folder }) => `
PassengerRoot ${libraries}
PassengerInstanceRegistryDir "${folder}"
PassengerNodejs "${host.node}"
PassengerAppRoot "${root}"
PassengerAppType node
PassengerStartupFile app.js
PassengerAppEnv production
PassengerUser ${process.getuid() === 0 ? 'www-data' : process.env.USER}
PassengerMaxPoolSize 1
PassengerMinInstances 1
PassengerMaxRequestQueueSize 0
PassengerStatThrottleRate 1
PassengerLogLevel 1
PassengerEnabled on
DocumentRoot "${root}/public"
<Directory "${root}">
  Require all granted
</Directory>`,
    });
    const reload = () => {
      writeFileSync(restart, '');
      utimesSync(restart, new Date(), new Date());
    };
    return { ...server, reload };
  },
};
