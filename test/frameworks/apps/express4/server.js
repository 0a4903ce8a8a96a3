'use strict';

const crypto = require('crypto');
const path = require('path');
const express = require('express');
const bodyParser = require('body-parser');
const compression = require('compression');
const helmet = require('helmet');
const cookieSession = require('cookie-session');
const multer = require('multer');
const passport = require('./passport');
const streams = require('./routes/streams');

const app = express();
const upload = multer({ storage: multer.memoryStorage(), limits: { fileSize: 16 * 1024 * 1024 } });

app.set('view engine', 'ejs');
app.set('views', path.join(__dirname, 'views'));

app.use(helmet());
app.use(compression());
app.use('/public', express.static(path.join(__dirname, 'public'), { maxAge: '1h' }));
app.use(cookieSession({ name: 'session', keys: ['first', 'second'] }));
// cookie-session has no regenerate and save, which passport 0.6 and later call.
app.use((req, res, next) => {
  if (req.session && !req.session.regenerate) req.session.regenerate = (done) => done();
  if (req.session && !req.session.save) req.session.save = (done) => done();
  next();
});
app.use(passport.initialize());
app.use(passport.session());
app.use('/streams', streams);

app.get('/', (req, res) => res.render('home', { title: 'Welcome', items: ['one', '<two>'] }));

app.post('/json', bodyParser.json(), (req, res) => res.json({ got: req.body }));
app.post('/form', bodyParser.urlencoded({ extended: true }), (req, res) => res.json({ got: req.body }));
app.post('/text', express.text({ limit: '10mb' }), (req, res) => res.type('text').send(req.body));
app.post('/raw', express.raw({ limit: '20mb', type: '*/*' }), (req, res) => {
  res.json({ length: req.body.length, sha256: crypto.createHash('sha256').update(req.body).digest('hex') });
});

app.post('/upload', upload.single('file'), (req, res) => {
  const { originalname, mimetype, size, buffer } = req.file;
  const sha256 = crypto.createHash('sha256').update(buffer).digest('hex');
  res.status(201).json({ name: originalname, type: mimetype, size, sha256, title: req.body.title });
});

app.get('/session', (req, res) => {
  req.session.views = (req.session.views || 0) + 1;
  res.json({ views: req.session.views });
});
app.post('/login', bodyParser.urlencoded({ extended: false }), passport.authenticate('local'), (req, res) => res.redirect('/me'));
app.get('/me', (req, res) => (req.isAuthenticated() ? res.json(req.user) : res.status(401).json({ error: 'who are you?' })));
app.post('/logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.sendStatus(204))));

app.get('/file', (req, res) => res.sendFile('alphabet.txt', { root: path.join(__dirname, 'public') }));
app.get('/download', (req, res) => res.download('alphabet.txt', req.query.as, { root: path.join(__dirname, 'public') }));
app.get('/redirect', (req, res) => res.redirect('/elsewhere?a=1'));
app.get('/redirect-permanent', (req, res) => res.redirect(301, 'https://example.com/'));
app.get('/cookies', (req, res) => res.cookie('one', '1', { httpOnly: true }).cookie('two', 'a b').clearCookie('three').send('cookies'));
app.get('/etag', (req, res) => res.send('the same text every time'));
app.get('/large', (req, res) => res.type('text').send('0123456789abcdef'.repeat(16 * 1024)));
app.get('/params/:name', (req, res) => res.json({ name: req.params.name, query: req.query }));
app.get('/request', (req, res) => {
  const { method, url, originalUrl, path: route, hostname, protocol, secure, ip, httpVersion } = req;
  res.json({ method, url, originalUrl, path: route, hostname, protocol, secure, ip, httpVersion, headers: req.headers });
});
app.all('/method', (req, res) => res.set('X-Method', req.method).send(req.method));
app.get('/format', (req, res) => {
  res.format({ text: () => res.send('text'), html: () => res.send('<p>html</p>'), json: () => res.json({ format: 'json' }) });
});
app.get('/status/:code', (req, res) => res.sendStatus(Number(req.params.code)));
app.get('/no-content', (req, res) => res.status(204).end());

app.get('/error', () => {
  throw new Error('the handler failed');
});
app.get('/async-error', async (req, res, next) => {
  try {
    await Promise.reject(Object.assign(new Error('the promise failed'), { status: 418 }));
  } catch (error) {
    next(error);
  }
});
app.get('/default-error', (req, res, next) => next(Object.assign(new Error('left to Express'), { plain: true })));

app.use((req, res) => res.status(404).json({ error: `nothing at ${req.originalUrl}` }));
// eslint-disable-next-line no-unused-vars
app.use((error, req, res, next) => {
  if (error.plain || res.headersSent) return next(error);
  res.status(error.status || 500).json({ error: error.message });
});

const port = process.env.PORT || 3000;
app.listen(port, () => console.log(`listening on ${port}`));
