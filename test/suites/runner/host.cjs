'use strict';
// Tests that write requests of HTTP/1.1 to a socket often leave out the Host header, which Node can do without and httpd
// cannot (RFC 9112). They get one, so that what they test comes to be tested.
const net = require('node:net');

const REQUEST = /^([A-Z]+ \S+ HTTP\/1\.1\r\n)((?:[^\r\n]+\r\n)*)(?=\r\n)/gm;

exports.addWhereMissing = function addWhereMissing() {
  for (const name of ['write', 'end']) {
    const original = net.Socket.prototype[name];
    net.Socket.prototype[name] = function (chunk, ...rest) {
      return original.call(this, typeof chunk === 'string' ? withHost(chunk) : chunk, ...rest);
    };
  }
};

function withHost(text) {
  return text.replace(REQUEST, (whole, line, headers) => (/^host:/im.test(headers) ? whole : `${line}Host: localhost\r\n${headers}`));
}
