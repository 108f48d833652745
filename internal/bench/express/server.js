// The pages of app.go, with express-session and connect-mongo.
import { randomUUID } from 'node:crypto';
import MongoStore from 'connect-mongo';
import express from 'express';
import session from 'express-session';
import { MongoClient } from 'mongodb';

const uri = process.env.BENCH_URI;
const client = await new MongoClient(uri, { monitorCommands: process.env.BENCH_COUNT === '1' }).connect();
let commands = 0;
client.on('commandStarted', () => commands++);

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.get('/commands', (req, res) => res.send(String(commands)));
app.use(session({
  secret: process.env.BENCH_SECRET,
  resave: false,
  saveUninitialized: false,
  cookie: { maxAge: 14 * 24 * 3600 * 1000 },
  store: MongoStore.create({
    client, dbName: process.env.BENCH_DATABASE, collectionName: 'express_sessions', touchAfter: Number(process.env.BENCH_TOUCH_AFTER),
  }),
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
