// The pages of app.go, with express-session and connect-mongo, or connect-redis if
// BENCH_URI is the address of a Redis server.
import { randomUUID } from 'node:crypto';
import MongoStore from 'connect-mongo';
import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { MongoClient } from 'mongodb';
import { createClient } from 'redis';

const uri = process.env.BENCH_URI;
let commands = 0;
let store;
if (uri.startsWith('mongodb')) {
  const client = await new MongoClient(uri, { monitorCommands: process.env.BENCH_COUNT === '1' }).connect();
  client.on('commandStarted', () => commands++);
  store = MongoStore.create({
    client, dbName: process.env.BENCH_DATABASE, collectionName: 'express_sessions', touchAfter: Number(process.env.BENCH_TOUCH_AFTER),
  });
} else {
  store = new RedisStore({ client: await createClient({ url: 'redis://' + uri }).connect() });
}

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.get('/commands', (req, res) => res.send(String(commands)));
app.use(session({
  secret: process.env.BENCH_SECRET,
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: 14 * 24 * 3600 * 1000 },
  store,
}));
app.get('/cart', (req, res) => {
  req.session.cart = JSON.parse(process.env.BENCH_CART);
  res.send('ok');
});
app.get('/login', (req, res) => {
  req.session.user = 'ada';
  req.session.name = 'Ada Lovelace';
  req.session.cart = JSON.parse(process.env.BENCH_CART);
  res.send('ok');
});
app.get('/read', (req, res) => {
  if (req.session.name === undefined) return res.status(500).send('no session');
  res.send('ok');
});
app.get('/write', (req, res) => {
  req.session.name = randomUUID();
  res.send('ok');
});
app.get('/set', (req, res) => {
  req.session[req.query.key] = 'yes';
  res.send('ok');
});
app.get('/keys', (req, res) => {
  res.send(String(Object.keys(req.session).filter((k) => k.startsWith('key')).length));
});

const server = app.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
