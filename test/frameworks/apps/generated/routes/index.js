var express = require('express');
var router = express.Router();

router.get('/', function (req, res) {
  res.render('index', { title: 'Express' });
});

router.get('/bind', function (req, res) {
  res.send(req.app.locals.bind);
});

module.exports = router;
