import { createServer } from 'node:http';
import { WebSocketServer, WebSocket } from 'ws';

// The way most examples are written: the WebSocket server listens on the HTTP server's upgrades itself.
const server = createServer((req, res) => res.end(`clients: ${wss.clients.size}`));
const wss = new WebSocketServer({ server, path: '/chat' });

wss.on('connection', (socket) => {
  socket.on('message', (data) => {
    for (const client of wss.clients) {
      if (client !== socket && client.readyState === WebSocket.OPEN) client.send(data.toString());
    }
  });
});

server.listen(process.env.PORT ?? 3000);
