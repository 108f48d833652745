'use strict'
// KeywiseStore is an express-session store on connect-mongo. It writes only the keys that a request has changed, so
// overlapping requests do not overwrite each other's keys. It never creates a session again after it was destroyed, so
// a sign-out is final. It takes the options of connect-mongo:
//
//   app.use(session({ store: KeywiseStore.create({ mongoUrl }), secret, resave: false, saveUninitialized: false }))
//
// It stores sessions as sub-documents and reads both forms of connect-mongo. It converts a string when it first saves
// the session. Values have the types of JSON, as in a string. With stringify: false, dates and ObjectIds keep their
// types.

const { MongoStore } = require('connect-mongo')

const SAVED = Symbol('the session ID and the fields as stored')

// eitherForm holds options of connect-mongo itself that read both forms and write strings. All replicas need them
// before the first one uses KeywiseStore, and after a return to connect-mongo.
const eitherForm = {
  serialize: JSON.stringify,
  unserialize: (stored) => (typeof stored === 'string' ? JSON.parse(stored) : stored)
}

class KeywiseStore extends MongoStore {
  static create(options) {
    return new this(options)
  }

  constructor(options) {
    const refused = ['crypto', 'cryptoAdapter', 'serialize', 'unserialize'].filter((name) => options[name])
    if (refused.length) throw new TypeError(`KeywiseStore: remove ${refused}: such a session cannot be written by key`)
    super({ ...options, serialize: (session) => this.#document(session), unserialize: eitherForm.unserialize })
  }

  // createSession is called for each session that was loaded.
  createSession(req, stored) {
    const session = super.createSession(req, stored)
    this.#remember(req.sessionID, session, this.#fields(session))
    return session
  }

  set(sid, session, callback = () => {}) {
    this.#save(sid, session).then(() => callback(null), callback)
  }

  async #save(sid, session) {
    const known = session[SAVED]
    if (known?.sid === sid) {
      session.touch() // otherwise save() in a handler stores the expiry of an earlier request
      const fields = this.#fields(session)
      await this.#update(this.computeStorageId(sid), this.#changes(session, known.fields, fields))
      this.#remember(sid, session, fields)
      this.emit('update', sid)
      this.emit('set', sid)
    } else { // a new session; no other save may create a document
      const fields = this.#fields(session)
      await new Promise((resolve, reject) => super.set(sid, session, (err) => (err ? reject(err) : resolve())))
      this.#remember(sid, session, fields)
    }
  }

  #changes(session, before, after) {
    const $set = { expires: session.cookie.expires ?? new Date(Date.now() + this.options.ttl * 1000) }
    const $unset = {}
    if (this.options.touchAfter > 0) $set.lastModified = new Date()
    for (const [key, { path, text, value }] of after) if (before.get(key)?.text !== text) $set[path ?? pathOf(key)] = value
    for (const [key, { path }] of before) if (!after.has(key)) $unset[path ?? pathOf(key)] = ''
    return {
      $set,
      ...(Object.keys($unset).length && { $unset }), // servers before MongoDB 5 refuse an empty one
      ...(this.options.timestamps && { $currentDate: { updatedAt: true } })
    }
  }

  async #update(_id, changes) {
    const sessions = await this.collectionP
    const options = { writeConcern: this.options.writeOperationOptions }
    for (let attempt = 0; attempt < 10; attempt++) {
      const result = await sessions.updateOne({ _id, session: { $type: 'object' } }, changes, options)
      if (result.matchedCount) return
      const stored = await sessions.findOne({ _id })
      if (!stored) break
      if (typeof stored.session !== 'string') continue // another request has converted it
      const session = JSON.parse(stored.session)
      await sessions.updateOne({ _id, session: stored.session }, { $set: { session } }, options)
    }
    throw Object.assign(new Error('KeywiseStore: the session has ended; nothing was saved'), { code: 'SESSION_ENDED' })
  }

  // #fields returns the values of a session by key, and each property of its cookie by path.
  #fields({ cookie, ...values }) {
    const fields = new Map()
    const json = this.options.stringify !== false
    for (const [key, value] of Object.entries(values)) {
      const text = JSON.stringify(value)
      if (text !== undefined) fields.set(key, { text, value: json ? JSON.parse(text) : value })
    }
    for (const [key, value] of Object.entries(plain(cookie))) {
      const text = JSON.stringify(value)
      if (text !== undefined) fields.set(Symbol.for(key), { text, value, path: 'session.cookie.' + key }) // no key of a value
    }
    return fields
  }

  // #document returns the sub-document of a new session.
  #document(session) {
    const values = [...this.#fields(session)].filter(([key]) => typeof key === 'string')
    for (const [key] of values) pathOf(key)
    return { cookie: plain(session.cookie), ...Object.fromEntries(values.map(([key, { value }]) => [key, value])) }
  }

  #remember(sid, session, fields) {
    Object.defineProperty(session, SAVED, { value: { sid, fields }, configurable: true })
  }
}

// plain returns the properties of a cookie, which is not a Cookie if a program has called set() itself.
function plain(cookie) {
  return cookie?.toJSON?.() ?? cookie ?? {}
}

function pathOf(key) {
  if (key && !key.includes('.') && !key.startsWith('$')) return 'session.' + key
  throw new Error(`KeywiseStore: rename the session key ${JSON.stringify(key)}: it is empty, contains "." or begins with "$"; nothing was saved`)
}

module.exports = { KeywiseStore, eitherForm }
