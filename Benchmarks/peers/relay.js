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
let parked = null; // the download that waits for its upload

const server = https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (req, res) => {
  if (req.method === 'GET' && req.url === '/download') {
    parked = res;
    return;
  }
  if (req.method === 'PUT' && req.url === '/upload' && parked !== null) {
    const download = parked;
    parked = null;
    const head = { 'Content-Type': 'application/octet-stream', Connection: 'close' };
    if (req.headers['content-length'] !== undefined) head['Content-Length'] = req.headers['content-length'];
    download.writeHead(200, head);
    req.pipe(download);
    download.on('finish', () => res.writeHead(200, { Connection: 'close' }).end());
    download.on('error', () => req.destroy());
    req.on('aborted', () => download.destroy());
    return;
  }
  res.writeHead(req.url === '/healthz' ? 200 : 404, { Connection: 'close' }).end();
});
server.listen(Number(port), '127.0.0.1', () => console.log('listening'));
