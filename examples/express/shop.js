'use strict'
// The Express side of the example: a shop with Passport and a cart. The Go program starts it.
//
// MONGO_URI and DATABASE say where the sessions are, and SECRETS is a JSON list of the secrets of the cookie. STORE is
// one of the names in stores. It listens on a free port, prints its URL, and ends when its standard input ends.

const express = require('express')
const session = require('express-session')
const passport = require('passport')
const { MongoStore, createWebCryptoAdapter } = require('connect-mongo')
const { KeywiseStore, eitherForm } = require('./keywise-store')

const { MONGO_URI, DATABASE, SECRETS, STORE = 'keywise', AUTO_REMOVE = 'native', RESAVE } = process.env
const options = { mongoUrl: MONGO_URI, dbName: DATABASE, autoRemove: AUTO_REMOVE }
const stores = {
  keywise: () => KeywiseStore.create(options),
  text: () => MongoStore.create(options),
  document: () => MongoStore.create({ ...options, stringify: false }),
  either: () => MongoStore.create({ ...options, ...eitherForm }),
  kruptein: () => MongoStore.create({ ...options, crypto: { secret: 'squirrel' } }),
  webcrypto: () => MongoStore.create({ ...options, cryptoAdapter: createWebCryptoAdapter({ secret: 'squirrel' }) })
}
const store = stores[STORE]()

passport.serializeUser((user, done) => done(null, user.name))
passport.deserializeUser((name, done) => done(null, { name }))

const app = express()
app.set('env', 'test') // an error of a request is no news here
app.use(session({
  store,
  secret: JSON.parse(SECRETS),
  resave: RESAVE === 'true',
  saveUninitialized: false,
  cookie: { maxAge: 14 * 24 * 3600 * 1000, sameSite: 'lax' }
}))
app.use(passport.session())

app.get('/express/state', (req, res) => {
  res.json({ language: `Node ${process.versions.node}`, user: req.user?.name ?? '', cart: req.session.cart ?? [] })
})

app.post('/express/login', (req, res, next) => {
  req.login({ name: String(req.query.user) }, { keepSessionInfo: true }, (err) => (err ? next(err) : res.sendStatus(204)))
})

app.post('/express/logout', (req, res, next) => {
  req.session.destroy((err) => (err ? next(err) : res.clearCookie('connect.sid').sendStatus(204)))
})

app.post('/express/cart', (req, res) => {
  req.session.cart = [...(req.session.cart ?? []), String(req.query.item)]
  res.sendStatus(204)
})

// The tests need requests that overlap. Such a request has loaded its session, and waits until the test releases it.
if (process.env.TEST_ROUTES) {
  const waiting = []
  let arrived = () => {}
  app.post('/express/slow', async (req, res) => {
    if (req.query.set) req.session[req.query.set] = true
    await new Promise((resolve) => {
      waiting.push(resolve)
      arrived()
    })
    res.sendStatus(204)
  })
  app.post('/express/test/arrived', async (req, res) => {
    while (waiting.length < Number(req.query.n)) await new Promise((resolve) => { arrived = resolve })
    res.sendStatus(204)
  })
  app.post('/express/test/release', (req, res) => {
    for (const resolve of waiting.splice(0)) resolve()
    res.sendStatus(204)
  })
}

store.collectionP.then(() => {
  const server = app.listen(0, '127.0.0.1', () => console.log(JSON.stringify(`http://127.0.0.1:${server.address().port}`)))
}, (err) => {
  console.error(`the store of Express: ${err.message}`)
  process.exit(1)
})
process.stdin.resume().on('end', () => process.exit())
