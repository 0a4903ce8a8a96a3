/** The ways by which a request reaches an application that `nwsgi serve` runs: real front servers, and none. */
import { FrontServer, hasCaddy, hasNginx, HttpdServer, RawClient, type NwsgiServe } from '../harness/index.js';

export interface Front {
  readonly port: number;
  stop(): Promise<void>;
  log(): string;
}

export interface FrontKind {
  readonly name: string;
  /** WebSockets, 1xx responses and trailers pass. */
  readonly speaks: 'http' | 'fastcgi';
  readonly available: boolean;
  /** It goes on sending the body of a request when its response has begun. NGINX does not, beyond what sockets hold; nor does Caddy. */
  readonly duplex: boolean;
  /** It passes on what it gets. Caddy has reason phrases of its own, guesses the type of a body and keeps the header Status. */
  readonly faithful: boolean;
  start(server: NwsgiServe): Promise<Front>;
}

/** Arguments of `nwsgi serve` that all kinds need. */
export const frontArguments = (s: NwsgiServe): string[] => [`--http=127.0.0.1:${s.port}`, `--fastcgi=unix:${s.socket}`];

const nginxFastCgi = (s: NwsgiServe, port: number): string => `
  upstream app { server unix:${s.socket}; keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    client_max_body_size 0;
    location / {
      include fastcgi_params;
      fastcgi_pass app;
      fastcgi_keep_conn on;
      fastcgi_request_buffering off;
      fastcgi_buffering off;
      fastcgi_buffer_size 32k;
      fastcgi_buffers 8 32k;
    }
  }`;

const nginxHttp = (s: NwsgiServe, port: number): string => `
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream app { server 127.0.0.1:${s.port}; keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    client_max_body_size 0;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_buffer_size 32k;
      proxy_buffers 8 32k;
    }
  }`;

const started = (server: FrontServer): Promise<Front> => server.start();

export const fronts: readonly FrontKind[] = [
  {
    name: 'itself, by HTTP',
    speaks: 'http',
    available: true,
    duplex: true,
    faithful: true,
    start: (server) => Promise.resolve({ port: server.port, stop: () => Promise.resolve(), log: () => '' }),
  },
  {
    name: 'NGINX, by FastCGI',
    speaks: 'fastcgi',
    available: hasNginx,
    duplex: false,
    faithful: true,
    start: (server) => started(new FrontServer('nginx', (nginx) => nginxFastCgi(server, nginx.port))),
  },
  {
    name: 'NGINX, by HTTP',
    speaks: 'http',
    available: hasNginx,
    duplex: false,
    faithful: true,
    start: (server) => started(new FrontServer('nginx', (nginx) => nginxHttp(server, nginx.port))),
  },
  {
    name: "Apache's mod_proxy_fcgi",
    speaks: 'fastcgi',
    available: true,
    duplex: true,
    faithful: true,
    start: async (server) => {
      const httpd = new HttpdServer({
        nwsgi: false,
        modules: ['proxy', 'proxy_fcgi'],
        threads: 16,
        directives: ['ProxyFCGIBackendType GENERIC', `ProxyPass "/" "unix:${server.socket}|fcgi://app/" flushpackets=on`],
      });
      await httpd.start();
      return httpd;
    },
  },
  {
    name: 'Caddy, by FastCGI',
    speaks: 'fastcgi',
    available: hasCaddy,
    duplex: false,
    faithful: false,
    start: (server) => started(new FrontServer('caddy', (caddy) => `http://:${caddy.port} {\n\tbind 127.0.0.1\n\treverse_proxy unix/${server.socket} {\n\t\ttransport fastcgi\n\t\tflush_interval -1\n\t}\n}`)),
  },
];

export const connect = (front: Front): Promise<RawClient> => RawClient.connect(front.port);
