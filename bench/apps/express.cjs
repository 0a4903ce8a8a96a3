const express = require('express');

const app = express();
app.get('/', (req, res) => res.send('Hello world\n'));
app.get('/users/:id', (req, res) => res.json({ id: req.params.id, name: 'Ada' }));
app.listen(process.env.PORT ?? 3000);
