'use strict';

const path = require('node:path');
const http = require('node:http');
const express = require('express');
const { Server } = require('socket.io');

const app = express();
const server = http.createServer(app);
const io = new Server(server, { maxHttpBufferSize: 16 * 1024 * 1024 });

app.use(express.static(path.join(__dirname, 'public')));

io.on('connection', (socket) => {
  socket.emit('welcome', { id: socket.id, transport: socket.conn.transport.name });

  socket.on('join', (room, acknowledge) => {
    socket.join(room);
    acknowledge([...socket.rooms].filter((name) => name !== socket.id));
  });
  socket.on('say', (room, text) => io.to(room).emit('said', text));
  socket.on('sum', (a, b, acknowledge) => acknowledge(a + b));
  socket.on('binary', (bytes, acknowledge) => acknowledge({ length: bytes.length, back: Buffer.from(bytes).reverse() }));
  socket.on('ask', async (acknowledge) => acknowledge(await socket.timeout(2000).emitWithAck('question', 6, 7)));
  socket.on('leave', () => socket.disconnect());
  socket.on('disconnect', (reason) => io.emit('left', socket.id, reason));
});

io.of('/admin').use((socket, next) => {
  next(socket.handshake.auth.token === 'letmein' ? undefined : new Error('not authorised'));
});
io.of('/admin').on('connection', (socket) => socket.emit('admin', 'welcome'));

server.listen(process.env.PORT || 3000, () => console.log('listening'));
