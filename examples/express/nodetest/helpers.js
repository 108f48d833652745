'use strict'
const { once } = require('node:events')
const { randomUUID } = require('node:crypto')
const express = require('express')
const session = require('express-session')
const passport = require('passport')
const { MongoClient } = require('mongodb')

const uri = process.env.MONGO_URI
if (!uri) throw new Error('set MONGO_URI to a server for tests, such as mongodb://127.0.0.1:27017')

// collection returns a new collection, which is dropped when the test ends.
async function collection(t) {
  const client = await MongoClient.connect(uri, { serverSelectionTimeoutMS: 5000 })
  const sessions = client.db('keywise_test').collection('sessions_' + randomUUID())
  t.after(async () => {
    await sessions.drop()
    await client.close()
  })
  return { client, sessions }
}

// gate returns a function that waits until n callers wait, and functions to wait for and to release a caller.
function gate(n) {
  let waiting = []
  return async function arrive() {
    const mine = Promise.withResolvers?.() ?? withResolvers()
    waiting.push(mine)
    if (waiting.length === n) {
      for (const each of waiting) each.resolve()
      waiting = []
    }
    await mine.promise
  }
}

function withResolvers() {
  const all = {}
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }))
  return all
}

// site starts an Express app with Passport over a socket. Its sessions are in the collection of db.
async function site(t, db, Store, { store: storeOptions, session: sessionOptions, routes } = {}) {
  const store = Store.create({
    autoRemove: process.env.AUTO_REMOVE || 'native', client: db.client, dbName: db.sessions.dbName, collectionName: db.sessions.collectionName, ...storeOptions
  })
  await store.collectionP
  const auth = new passport.Passport()
  auth.serializeUser((user, done) => done(null, user))
  auth.deserializeUser((user, done) => done(null, user))

  const app = express()
  const errors = []
  app.use(session({ store, secret: 'keyboard cat', resave: false, saveUninitialized: false, ...sessionOptions }))
  app.use(auth.session())
  app.post('/login/:user', (req, res, next) => req.login(req.params.user, (err) => (err ? next(err) : res.send('in'))))
  app.post('/logout', (req, res, next) => req.session.destroy((err) => (err ? next(err) : res.send('out'))))
  app.post('/set/:key/:value', (req, res) => {
    req.session[req.params.key] = req.params.value
    res.send('set')
  })
  app.get('/', (req, res) => res.json({ user: req.user, values: { ...req.session, cookie: undefined, passport: undefined } }))
  routes?.(app)
  app.use((err, req, res, next) => {
    errors.push(err)
    next(err)
  })
  app.set('env', 'test') // Express logs no errors

  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { store, errors, url: `http://127.0.0.1:${server.address().port}` }
}

// Visitor is a browser with one cookie.
class Visitor {
  constructor(...sites) {
    this.sites = sites
  }

  on(...sites) { // the same visitor on other servers
    return Object.assign(new Visitor(...sites), { cookie: this.cookie })
  }

  async send(method, path, site = this.sites[0]) {
    const response = await fetch(site.url + path, { method, headers: this.cookie ? { cookie: this.cookie } : {} })
    const [set] = response.headers.getSetCookie()
    if (set) this.cookie = set.split(';')[0]
    const body = await response.text()
    return { status: response.status, set, body, json: () => JSON.parse(body) }
  }

  get(path = '/', site) {
    return this.send('GET', path, site)
  }

  post(path, site) {
    return this.send('POST', path, site)
  }

  async state(site) {
    return (await this.get('/', site)).json()
  }

  get id() {
    return decodeURIComponent(this.cookie.split('=')[1]).slice(2).split('.')[0]
  }
}

module.exports = { Visitor, collection, gate, site, withResolvers }
