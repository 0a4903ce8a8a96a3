// The same Node application outside of Apache: behind mod_proxy_http, behind NGINX, alone.

export default [
  {
    name: 'mod_proxy',
    title: 'mod_proxy_http → node',
    runs: ['node'],
    async start(host) {
      const node = await host.startNode();
      const server = await host.startApache({ modules: ['proxy', 'proxy_http'], directives: `ProxyPass / ${node.url}/ keepalive=On` });
      return { ...server, processes: [...server.processes, ...node.processes] };
    },
  },
  {
    name: 'node',
    title: 'node alone',
    runs: ['node'],
    start: (host) => host.startNode(),
  },
];
