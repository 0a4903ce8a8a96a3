export default async function sockets(fastify) {
  fastify.get('/echo', { websocket: true }, (socket, request) => {
    socket.send(`hello ${request.query.name ?? 'nobody'}`);
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });

  fastify.get('/both', {
    handler: async () => 'over HTTP',
    wsHandler: (socket) => {
      socket.send('over a WebSocket');
      socket.close(4001, 'that was all');
    },
  });
}
