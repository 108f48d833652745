'use strict'
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { MongoStore } = require('connect-mongo')
const { ObjectId } = require('mongodb')
const { KeywiseStore, eitherForm } = require('../keywise-store')
const { Visitor, collection, site } = require('./helpers')

const minute = 60_000

function soon(date, ms) {
  return Math.abs(date - Date.now() - ms) < 10_000
}

test('a new session is a sub-document with the cookie of connect-mongo', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, { session: { cookie: { maxAge: minute, sameSite: 'lax' } } })
  const two = await site(t, db, MongoStore, { session: { cookie: { maxAge: minute, sameSite: 'lax' } }, store: { stringify: false } })
  const visitor = new Visitor(one, two)
  const { set } = await visitor.post('/set/cart/tea')
  assert.match(set, /^connect\.sid=s%3A.*; Path=\/; Expires=.*; HttpOnly; SameSite=Lax$/)
  const [stored] = await db.sessions.find().toArray()
  assert.deepEqual(Object.keys(stored).sort(), ['_id', 'expires', 'session'])
  assert.equal(stored._id, visitor.id)
  assert.equal(stored.session.cart, 'tea')
  assert.equal(stored.session.cookie.originalMaxAge, minute)
  assert.ok(stored.session.cookie.expires instanceof Date)
  assert.ok(soon(stored.expires, minute))
  assert.equal((await visitor.state(two)).values.cart, 'tea', 'connect-mongo reads it')
})

test('a visitor for whom nothing is stored gets no session', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore)
  assert.equal((await new Visitor(one).get()).set, undefined)
  assert.equal(await db.sessions.countDocuments(), 0)
})

test('a signed cookie without a document starts a new session under another ID', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore)
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  const old = visitor.id
  await db.sessions.deleteMany({})
  assert.equal((await visitor.state()).user, undefined)
  await visitor.post('/set/cart/tea')
  assert.notEqual(visitor.id, old)
})

test('Passport regenerates the session at a sign-in', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, {
    routes: (app) => app.post('/keep/:user', (req, res, next) => {
      req.login(req.params.user, { keepSessionInfo: true }, (err) => (err ? next(err) : res.send('in')))
    })
  })
  const visitor = new Visitor(one)
  await visitor.post('/set/cart/tea')
  const before = visitor.id
  await visitor.post('/keep/ada')
  assert.notEqual(visitor.id, before)
  assert.deepEqual(await visitor.state(), { user: 'ada', values: { cart: 'tea' } })
  assert.equal(await db.sessions.countDocuments(), 1)
})

for (const resave of [false, true]) {
  test(`a request that only reads moves the expiry, resave: ${resave}`, async (t) => {
    const db = await collection(t)
    const one = await site(t, db, KeywiseStore, { session: { resave, cookie: { maxAge: minute } } })
    const visitor = new Visitor(one)
    await visitor.post('/login/ada')
    const early = new Date(Date.now() + 1000)
    await db.sessions.updateOne({}, { $set: { expires: early } })
    await visitor.state()
    assert.ok(soon((await db.sessions.findOne()).expires, minute))
  })
}

test('touchAfter: lastModified is stored beside the session, and spares writes', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, { store: { touchAfter: 3600 }, session: { cookie: { maxAge: minute } } })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await visitor.post('/set/cart/tea')
  const stored = await db.sessions.findOne()
  assert.ok(stored.lastModified instanceof Date)
  assert.equal(stored.session.lastModified, undefined)
  assert.equal((await visitor.state()).user, 'ada')
  assert.deepEqual(await db.sessions.findOne(), stored, 'a read within touchAfter writes nothing')
  await db.sessions.updateOne({}, { $set: { lastModified: new Date(1) } })
  await visitor.state()
  assert.ok(soon((await db.sessions.findOne()).lastModified, 0), 'a read after touchAfter does')
  await db.sessions.updateOne({}, { $set: { lastModified: new Date(1) } })
  await visitor.post('/set/cart/bread')
  assert.ok(soon((await db.sessions.findOne()).lastModified, 0), 'a save does')
  assert.equal((await db.sessions.findOne()).session.lastModified, undefined)
})

test('without maxAge a session lasts for ttl', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, { store: { ttl: 60 } })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await visitor.post('/set/cart/tea')
  const stored = await db.sessions.findOne()
  assert.ok(soon(stored.expires, minute))
  assert.equal(stored.session.cookie.expires, null)
})

test('a changed maxAge survives an overlapping write', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, {
    session: { cookie: { maxAge: minute } },
    routes: (app) => {
      app.post('/remember', (req, res) => {
        req.session.cookie.maxAge = 60 * minute
        req.session.remembered = true
        res.send('set')
      })
      app.post('/slow', async (req, res) => {
        req.session.slow = true
        await Object.assign(new Visitor(one), { cookie: req.headers.cookie }).post('/remember')
        res.send('set')
      })
    }
  })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await visitor.post('/slow')
  const { session } = await db.sessions.findOne()
  assert.ok(session.slow && session.remembered)
  assert.ok(session.cookie.originalMaxAge > 59 * minute)
})

// connect-mongo stores the expiry of the last save here, which may have passed.
test('save() in a handler stores the expiry of this request', async (t) => {
  const db = await collection(t)
  let saved
  const one = await site(t, db, KeywiseStore, {
    session: { cookie: { maxAge: minute } },
    routes: (app) => app.post('/save', (req, res, next) => {
      req.session.cart = 'tea'
      req.session.save(async (err) => {
        saved = await db.sessions.findOne()
        return err ? next(err) : res.send('saved')
      })
    })
  })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await db.sessions.updateOne({}, { $set: { 'session.cookie.expires': new Date(0) } }) // touches do not move this one
  await visitor.post('/save')
  assert.ok(soon(saved.expires, minute))
})

test('removed keys and undefined values are removed, and come back to nobody', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, {
    routes: (app) => app.post('/remove', (req, res) => {
      delete req.session.a
      req.session.b = undefined
      res.send('removed')
    })
  })
  const visitor = new Visitor(one)
  for (const key of 'abc') await visitor.post(`/set/${key}/1`)
  await visitor.post('/remove')
  assert.deepEqual(Object.keys((await db.sessions.findOne()).session).sort(), ['c', 'cookie'])
})

for (const key of ['a.b', '$a', 'cookie.expires']) {
  test(`the key ${key} is refused and named, and nothing of the request is saved`, async (t) => {
    const db = await collection(t)
    const one = await site(t, db, KeywiseStore)
    const visitor = new Visitor(one)
    await visitor.post(`/set/${key}/1`)
    assert.equal(await db.sessions.countDocuments(), 0)
    await visitor.post('/login/ada')
    await visitor.post(`/set/${key}/1`)
    assert.deepEqual((await visitor.state()).values, {})
    assert.equal(one.errors.length, 2)
    for (const err of one.errors) assert.ok(err.message.includes(`rename the session key "${key}"`), err.message)
  })
}

test('keys within a value may contain dots, and an old key with a dot is kept', async (t) => {
  const db = await collection(t)
  const old = await site(t, db, MongoStore)
  const one = await site(t, db, KeywiseStore, {
    routes: (app) => app.post('/nested', (req, res) => {
      req.session.cart = { 'a.b': 1 }
      res.send('set')
    })
  })
  const visitor = new Visitor(one, old)
  await visitor.post('/set/old.key/1', old)
  await visitor.post('/nested')
  assert.deepEqual((await visitor.state()).values, { cart: { 'a.b': 1 }, 'old.key': '1' })
  assert.equal((await visitor.post('/nested')).status, 200)
  assert.deepEqual(one.errors, [])
})

test('__proto__ and the other reserved keys pollute nothing and are kept', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, {
    routes: (app) => app.post('/json', (req, res) => {
      req.session.body = JSON.parse('{"__proto__": {"admin": true}, "a": 1}')
      res.send('set')
    })
  })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await db.sessions.updateOne({}, { $set: { 'session.__proto__': { admin: true }, 'session.constructor': 'x', 'session.save': 'y' } })
  await visitor.post('/json')
  const { session } = await db.sessions.findOne()
  assert.deepEqual(Object.getOwnPropertyDescriptor(session, '__proto__')?.value, { admin: true })
  assert.equal(session.save, 'y')
  assert.equal(Object.hasOwn(session, 'constructor') && session.constructor, 'x')
  assert.equal(session.body.admin, undefined)
  assert.deepEqual((await visitor.state()).values.body.a, 1)
  assert.equal({}.admin, undefined)
  assert.deepEqual(one.errors, [])
})

for (const [stringify, date, id] of [[true, 'string', 'string'], [false, 'date', 'objectId']]) {
  test(`stringify: ${stringify} stores a date as ${date} and an ObjectId as ${id}`, async (t) => {
    const db = await collection(t)
    const one = await site(t, db, KeywiseStore, {
      store: { stringify },
      routes: (app) => app.post('/types', (req, res) => {
        Object.assign(req.session, { at: new Date(), oid: new ObjectId(), n: 1.5, nothing: null, list: [1, { a: 'b' }] })
        res.send('set')
      })
    })
    const visitor = new Visitor(one)
    for (const again of [false, true]) { // as a new session, then as changes
      await visitor.post('/types')
      const types = { 'session.at': { $type: date }, 'session.oid': { $type: id }, 'session.nothing': { $type: 'null' } }
      assert.equal(await db.sessions.countDocuments(types), 1, String(again))
    }
    assert.deepEqual((await visitor.state()).values.list, [1, { a: 'b' }])
  })
}

test('strings of connect-mongo are read, and converted by the first save', async (t) => {
  const db = await collection(t)
  const old = await site(t, db, MongoStore)
  const one = await site(t, db, KeywiseStore)
  const visitor = new Visitor(one, old)
  await visitor.post('/login/ada', old)
  await visitor.post('/set/cart/tea', old)
  assert.deepEqual(await visitor.state(), { user: 'ada', values: { cart: 'tea' } })
  assert.equal(await db.sessions.countDocuments({ session: { $type: 'string' } }), 1, 'a read converts nothing')
  await Promise.all(['a', 'b', 'c', 'd'].map((key) => visitor.post(`/set/${key}/1`)))
  assert.deepEqual(await visitor.state(), { user: 'ada', values: { cart: 'tea', a: '1', b: '1', c: '1', d: '1' } })
  assert.equal(await db.sessions.countDocuments({ session: { $type: 'object' } }), 1)
  assert.deepEqual(one.errors, [])
})

test('a write during the conversion of a string is kept', async (t) => {
  const db = await collection(t)
  const old = await site(t, db, MongoStore)
  const one = await site(t, db, KeywiseStore)
  const other = await site(t, db, KeywiseStore)
  const visitor = new Visitor(one)
  await visitor.post('/login/ada', old)
  const sessions = await one.store.collectionP
  let looks = 0
  one.store.collectionP = Promise.resolve({
    updateOne: (...args) => sessions.updateOne(...args),
    findOne: async (filter) => {
      const found = await sessions.findOne(filter)
      if (filter._id && !filter.$or && looks++ === 0) await visitor.on(other).post('/set/between/1')
      return found
    }
  })
  await visitor.post('/set/cart/tea')
  assert.deepEqual(await visitor.state(other), { user: 'ada', values: { between: '1', cart: 'tea' } })
})

test('a session stored under another ID is a new session', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, {
    routes: (app) => app.post('/copy', (req, res, next) => {
      req.sessionStore.set('copy', req.session, (err) => (err ? next(err) : res.send('copied')))
    })
  })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  assert.equal((await visitor.post('/copy')).status, 200)
  assert.equal((await db.sessions.findOne({ _id: 'copy' })).session.passport.user, 'ada')
})

test('set() takes a plain object, as other programs pass it', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore)
  for (const session of [{ cookie: { originalMaxAge: null }, cart: 'tea' }, { cart: 'tea' }]) {
    await new Promise((resolve, reject) => one.store.set('new', session, (err) => (err ? reject(err) : resolve())))
    const stored = await db.sessions.findOne({ _id: 'new' })
    assert.deepEqual(stored.session, { cookie: {}, ...session })
    assert.ok(stored.expires > new Date())
  }
})

test('connect-mongo with eitherForm and KeywiseStore serve one visitor in turns', async (t) => {
  const db = await collection(t)
  const plain = await site(t, db, MongoStore, { store: eitherForm })
  const one = await site(t, db, KeywiseStore)
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  for (const [n, each] of [plain, one, plain, one].entries()) await visitor.post(`/set/k${n}/1`, each)
  for (const each of [plain, one]) {
    assert.deepEqual(await visitor.state(each), { user: 'ada', values: { k0: '1', k1: '1', k2: '1', k3: '1' } })
  }
})

test('connect-mongo without eitherForm does not read sub-documents', async (t) => {
  const db = await collection(t)
  const plain = await site(t, db, MongoStore)
  const one = await site(t, db, KeywiseStore)
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  assert.equal((await visitor.get('/', plain)).status, 500)
})

test('timestamps are written', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, { store: { timestamps: true } })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await db.sessions.updateOne({}, { $set: { updatedAt: new Date(0) } })
  await visitor.post('/set/cart/tea')
  const stored = await db.sessions.findOne()
  assert.ok(stored.createdAt instanceof Date)
  assert.ok(soon(stored.updatedAt, 0))
})

test('reload() sees the changes of another request, and a save after it keeps them', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, {
    routes: (app) => app.post('/reload', async (req, res, next) => {
      await db.sessions.updateOne({ _id: req.sessionID }, { $set: { 'session.other': 1 } })
      req.session.reload((err) => {
        if (err) return next(err)
        req.session.mine = req.session.other + 1
        res.send('set')
      })
    })
  })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await visitor.post('/reload')
  assert.deepEqual((await visitor.state()).values, { other: 1, mine: 2 })
})

test('a document that was damaged during the request is not overwritten', async (t) => {
  const db = await collection(t)
  const one = await site(t, db, KeywiseStore, {
    routes: (app) => app.post('/damage', async (req, res) => {
      await db.sessions.updateOne({ _id: req.sessionID }, { $set: { session: null } })
      req.session.a = 1
      res.send('set')
    })
  })
  const visitor = new Visitor(one)
  await visitor.post('/login/ada')
  await visitor.post('/damage')
  assert.equal((await db.sessions.findOne()).session, null)
  assert.equal(one.errors.length, 1)
})

for (const option of ['crypto', 'cryptoAdapter', 'serialize', 'unserialize']) {
  test(`the option ${option} is refused`, () => {
    assert.throws(() => KeywiseStore.create({ mongoUrl: 'mongodb://127.0.0.1:1', [option]: {} }), new RegExp(`remove ${option}:`))
  })
}
