'use strict';
// Tests listen on port 0 and connect to address().port. Inside httpd a server gets the requests of the port that it
// listens on, so "any free port" becomes a free one of those that httpd listens on for this file.
const net = require('node:net');
const tls = require('node:tls');
const http = require('node:http');

/** Returns the servers that listen; calls `listens` when one does. */
exports.useFrom = function useFrom(ports, listens) {
  const free = { plain: [...ports.plain], tls: [...ports.tls] };
  const servers = new Set();
  // Tests of Node that want a port of which nobody else knows.
  process.env.NODE_COMMON_PORT = String(free.plain.pop());
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    if (!isHttp(this)) return listen.apply(this, args);
    const kind = this instanceof tls.Server ? 'tls' : 'plain';
    const wanted = choose(args, free[kind]);
    const result = listen.apply(this, wanted.args);
    servers.add(this);
    this.once('listening', listens);
    this.once('close', () => {
      servers.delete(this);
      if (wanted.port !== undefined) free[kind].push(wanted.port);
    });
    return result;
  };
  const { ref, unref } = net.Server.prototype;
  net.Server.prototype.unref = function () {
    servers.delete(this);
    return unref.call(this);
  };
  net.Server.prototype.ref = function () {
    if (this.listening) servers.add(this);
    return ref.call(this);
  };
  return servers;
};

function isHttp(server) {
  return server instanceof http.Server || server.constructor.name.startsWith('Http2') || (server instanceof tls.Server && 'headersTimeout' in server);
}

/** The same arguments with a port of ours where they leave the choice to the system. */
function choose(args, free) {
  const [first, ...rest] = args;
  const take = () => {
    const port = free.shift();
    if (port === undefined) throw new Error('httpd listens on too few ports for this file of tests');
    return port;
  };
  if (first === undefined || first === null || typeof first === 'function') {
    const port = take();
    return { port, args: typeof first === 'function' ? [port, ...args] : [port, ...rest] };
  }
  if (first === 0 || first === '0') {
    const port = take();
    return { port, args: [port, ...rest] };
  }
  const open = typeof first === 'object' && !('path' in first) && !('fd' in first) && !('_handle' in first) && 'port' in first;
  if (open && [0, '0', undefined, null].includes(first.port)) {
    const port = take();
    return { port, args: [{ ...first, port }, ...rest] };
  }
  return { args };
}
