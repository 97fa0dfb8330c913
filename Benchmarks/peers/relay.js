// SPDX-License-Identifier: Apache-2.0
//
// The relay everybody writes first: an https server that pipes the upload's request into the download's response.
// It is here to be measured against. It has no accounts, no limits and no timers: it does less than a real relay must.
//
//   node relay.js PORT CERT KEY

'use strict';
const fs = require('fs');
const https = require('https');

const [port, certificate, key] = process.argv.slice(2);
let upload = null; // whichever half came first waits here for the other
let download = null;

function join() {
  if (upload === null || download === null) return;
  const { req, res } = upload;
  const receiver = download;
  upload = download = null;
  const head = { 'Content-Type': 'application/octet-stream', Connection: 'close' };
  if (req.headers['content-length'] !== undefined) head['Content-Length'] = req.headers['content-length'];
  receiver.writeHead(200, head);
  req.pipe(receiver);
  receiver.on('finish', () => res.writeHead(200, { Connection: 'close' }).end());
  receiver.on('error', () => req.destroy());
  req.on('error', () => receiver.destroy());
}

const server = https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (req, res) => {
  if (req.method === 'GET' && req.url === '/download') {
    download = res;
    join();
  } else if (req.method === 'PUT' && req.url === '/upload') {
    upload = { req, res };
    join();
  } else {
    res.writeHead(req.url === '/healthz' ? 200 : 404, { Connection: 'close' }).end();
  }
});
server.listen(Number(port), '127.0.0.1', () => console.log('listening'));
