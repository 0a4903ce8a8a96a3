'use strict';

const http = require('node:http');
const { WebSocketServer } = require('ws');

const server = http.createServer((req, res) => {
  if (req.url === '/ended') return res.end(JSON.stringify(ended));
  res.writeHead(426, { 'Content-Type': 'text/plain' });
  res.end('Upgrade Required');
});

const ended = [];
const options = { noServer: true, maxPayload: 64 * 1024 * 1024 };
const endpoints = {
  '/echo': new WebSocketServer({ ...options, perMessageDeflate: false }),
  '/deflate': new WebSocketServer({ ...options, perMessageDeflate: { threshold: 0 } }),
  '/protocols': new WebSocketServer({ ...options, handleProtocols: (offered) => (offered.has('v2.chat') ? 'v2.chat' : false) }),
  '/small': new WebSocketServer({ noServer: true, maxPayload: 1024 }),
};

for (const name of ['/echo', '/deflate', '/small']) {
  endpoints[name].on('connection', (socket, request) => {
    const id = new URL(request.url, 'http://localhost').searchParams.get('id');
    socket.on('error', (error) => ended.push({ id, error: error.code ?? error.message }));
    socket.on('close', (code, reason) => ended.push({ id, code, reason: reason.toString() }));
    socket.on('ping', (data) => socket.send(`pinged with ${data}`));
    socket.on('message', (data, isBinary) => {
      const text = isBinary ? '' : data.toString();
      const close = /^close (\d+) ?(.*)$/.exec(text);
      if (close) return socket.close(Number(close[1]), close[2]);
      if (text === 'terminate') return socket.terminate();
      if (text === 'ping me') return socket.ping('are you there');
      if (text === 'who am I') {
        const { remoteAddress, remotePort, encrypted } = request.socket;
        return socket.send(JSON.stringify({ url: request.url, remoteAddress, remotePort: typeof remotePort, encrypted: encrypted === true }));
      }
      if (text === 'fragments') {
        socket.send('one ', { fin: false });
        socket.send('two ', { fin: false });
        return socket.send('three', { fin: true });
      }
      socket.send(data, { binary: isBinary });
    });
    socket.on('pong', (data) => socket.send(`ponged with ${data}`));
  });
}

endpoints['/protocols'].on('connection', (socket) => socket.send(`protocol: ${socket.protocol}`));

server.on('upgrade', (request, socket, head) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const endpoint = endpoints[pathname];
  if (!endpoint) {
    const status = pathname === '/secret' ? '401 Unauthorized' : '404 Not Found';
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    return;
  }
  endpoint.handleUpgrade(request, socket, head, (client) => endpoint.emit('connection', client, request));
});

server.listen(process.env.PORT || 3000);
