// SPDX-License-Identifier: Apache-2.0
// A guest book: a form, uploads, a file, events and a chat, as any application in Express has them.

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import cookieSession from 'cookie-session';
import express from 'express';
import multer from 'multer';
import { WebSocketServer } from 'ws';

const app = express();
// The address of the client is the one that a proxy on this machine names.
app.set('trust proxy', 'loopback');
// Sessions are signed with this key. Where there are several instances, all need the same.
app.use(cookieSession({ name: 'session', secret: process.env.SECRET_KEY ?? randomBytes(32).toString('hex') }));

// Express knows nothing of a path that a proxy has taken off, so redirects and links begin with it here.
const base = (req) => req.get('X-Forwarded-Prefix') ?? '';

const escaped = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const page = (base, notes) => `<!doctype html>
<title>Guest book</title>
<form method="post" action="${base}/notes"><input name="text"><button>Sign</button></form>
<ul>${notes.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>
<form method="post" action="${base}/upload" enctype="multipart/form-data">
<input type="file" name="file"><button>Send</button></form>
`;

// Everyone who listens, by chat or by events.
const room = new Set();
const say = (text) => room.forEach((tell) => tell(text));

app.get('/', (req, res) => {
  res.send(page(base(req), req.session.notes ?? []));
});

app.post('/notes', express.urlencoded(), (req, res) => {
  if (typeof req.body?.text !== 'string') {
    res.status(400).send('the form has no text');
    return;
  }
  req.session.notes = [...(req.session.notes ?? []), req.body.text];
  say(req.body.text);
  res.redirect(303, `${base(req)}/`);
});

app.post('/upload', multer().single('file'), (req, res) => {
  const { originalname, size, buffer } = req.file;
  res.json({ name: originalname, bytes: size, sha256: createHash('sha256').update(buffer).digest('hex') });
});

app.get('/readme', (req, res) => {
  res.sendFile('README.md', { root: import.meta.dirname });
});

app.get('/events', (req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  const tell = (text) => res.write(`data: ${text.replaceAll(/[\r\n]+/g, ' ')}\n\n`);
  room.add(tell);
  res.on('close', () => room.delete(tell));
  tell('welcome');
});

app.get('/health', (req, res) => {
  res.send('well');
});

app.post('/invoke', express.text({ type: () => true }), (req, res) => {
  res.type('text').send(`invoked with ${req.body}`);
});

const server = createServer(app);

new WebSocketServer({ server, path: '/chat' }).on('connection', (socket) => {
  const tell = (text) => socket.send(text);
  room.add(tell);
  socket.on('close', () => room.delete(tell));
  // A frame that is none ends this connection alone.
  socket.on('error', () => socket.terminate());
  socket.on('message', (text) => say(text.toString()));
});

server.listen(process.env.PORT ?? 3000, '127.0.0.1');
