'use strict'
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { MongoStore } = require('connect-mongo')
const { KeywiseStore } = require('../keywise-store')
const { Visitor, collection, gate, site, withResolvers } = require('./helpers')

const writes = 1000
const overlap = 20

// Each batch of requests has loaded the session before the first of them saves it.
for (const [name, Store, options, kept] of [
  ['connect-mongo', MongoStore, {}, writes / overlap],
  ['connect-mongo with stringify: false', MongoStore, { stringify: false }, writes / overlap],
  ['KeywiseStore', KeywiseStore, {}, writes],
  ['KeywiseStore with stringify: false', KeywiseStore, { stringify: false }, writes]
]) {
  test(`${writes} overlapping writes of different keys, ${name}`, async (t) => {
    const db = await collection(t)
    const arrive = gate(overlap)
    const routes = (app) => app.post('/overlap/:key', async (req, res) => {
      req.session[req.params.key] = true
      await arrive()
      res.send('set')
    })
    const one = await site(t, db, Store, { store: options, routes })
    const visitor = new Visitor(one)
    await visitor.post('/login/ada')
    for (let n = 0; n < writes; n += overlap) {
      const replies = await Promise.all(Array.from({ length: overlap }, (_, i) => visitor.post(`/overlap/k${n + i}`)))
      assert.ok(replies.every(({ status }) => status === 200), 'each visitor is told that the write succeeded')
    }
    const { user, values } = await visitor.state()
    const found = Object.keys(values).length
    t.diagnostic(`${name}: ${writes - found} of ${writes} writes lost`)
    assert.equal(user, 'ada')
    assert.equal(found, kept)
  })
}

// With resave: true, the default, a request that changes nothing saves the session too.
for (const [name, Store, kept] of [['connect-mongo', MongoStore, undefined], ['KeywiseStore', KeywiseStore, 'tea']]) {
  test(`a write during a request that only reads, resave: true, ${name}`, async (t) => {
    const { one, slow } = await slowSite(t, Store, { resave: true })
    const visitor = new Visitor(one)
    await visitor.post('/login/ada')
    const reading = await slow(visitor, '/slow')
    await visitor.post('/set/cart/tea')
    await reading.finish()
    assert.equal((await visitor.state()).values.cart, kept)
  })
}

for (const [name, Store, user] of [['connect-mongo', MongoStore, 'ada'], ['KeywiseStore', KeywiseStore, undefined]]) {
  test(`a sign-out during a slow request, ${name}`, async (t) => {
    const { one, slow, db } = await slowSite(t, Store)
    const visitor = new Visitor(one)
    await visitor.post('/login/ada')
    const stolen = visitor.on(one)
    const writing = await slow(visitor, '/slow?write=1')
    assert.equal((await visitor.post('/logout')).status, 200)
    assert.equal(await db.sessions.countDocuments(), 0)
    const reply = await writing.finish()
    t.diagnostic(`${name}: the slow request ends with ${reply.status ?? reply}`)
    assert.equal(await db.sessions.countDocuments(), user ? 1 : 0)
    assert.equal((await stolen.state()).user, user, 'the user of the old cookie')
    assert.deepEqual(one.errors.map((err) => err.code), user ? [] : ['SESSION_ENDED'])
  })
}

test('a sign-out on another server during a slow request', async (t) => {
  const { one, slow, db } = await slowSite(t, KeywiseStore)
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  const writing = await slow(visitor, '/slow?write=1')
  await db.sessions.deleteOne({ _id: visitor.id }) // as another program ends the session
  await writing.finish()
  assert.equal(await db.sessions.countDocuments(), 0)
})

test('a request that saves twice, and a sign-out in between', async (t) => {
  const { one, slow, db } = await slowSite(t, KeywiseStore)
  const visitor = new Visitor(one)
  const writing = await slow(visitor, '/slow?save=1') // has created the session, and changes it again
  assert.equal(await db.sessions.countDocuments(), 1)
  await db.sessions.deleteMany({})
  await writing.finish()
  assert.equal(await db.sessions.countDocuments(), 0)
  assert.equal(one.errors[0].code, 'SESSION_ENDED')
})

test('a request that saves twice writes only the later change the second time', async (t) => {
  const { one, slow } = await slowSite(t, KeywiseStore)
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  const writing = await slow(visitor, '/slow?save=1')
  await visitor.post('/set/first/other')
  await writing.finish()
  assert.deepEqual((await visitor.state()).values, { first: 'other', second: 'slow' })
})

// slowSite has a route /slow, which waits after it has loaded and perhaps changed the session.
async function slowSite(t, Store, sessionOptions) {
  const db = await collection(t)
  let entered, release
  const routes = (app) => app.post('/slow', async (req, res) => {
    if (req.query.write) req.session.slow = true
    if (req.query.save) {
      req.session.first = 'slow'
      await new Promise((resolve, reject) => req.session.save((err) => (err ? reject(err) : resolve())))
      req.session.second = 'slow'
    }
    entered.resolve()
    await release.promise
    res.send('done')
  })
  const one = await site(t, db, Store, { session: sessionOptions, routes })
  async function slow(visitor, path) {
    entered = withResolvers()
    release = withResolvers()
    const reply = visitor.post(path).catch((err) => err.cause?.code ?? String(err)) // the connection may be cut
    await entered.promise
    return { finish: () => (release.resolve(), reply) }
  }
  return { db, one, slow }
}
