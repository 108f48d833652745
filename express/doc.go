// Package express reads and takes over the sessions of an Express app.
//
// The app uses express-session, with connect-mongo or connect-redis as its
// store. Package express verifies its cookie, connect.sid, and reads its
// session. So an app can move from Express to Go, route by route or at once,
// and no visitor has to sign in again.
//
//	store, err := express.NewMongoStore(client.Database("shop").Collection("sessions"))
//	// handle err
//	old, err := express.Open(ctx, store, os.Getenv("EXPRESS_SECRET"), express.WithProperty("cart", cart))
//	// handle err
//	http.ListenAndServe(addr, sessions.Wrap(old.Move(sessions, mux)))
//
// # Moving visitors
//
// [Sessions.Move] is a middleware inside [session.Manager.Wrap]. A visitor
// without a session of the Manager, but with a valid connect.sid, gets one. Move
// signs in the user of the Express session, which is passport.user unless
// [WithUser] says otherwise, and takes along the properties of [WithProperty].
// An Express session without a user moves too if it has one of these
// properties. Other visitors cause no call of a store.
//
// Concurrent requests of one visitor get the same session and the same cookie,
// see [session.Session.Import].
//
// The Express session is removed after the browser has shown that it has the
// new cookie. This is the first request with both cookies, at least 30 seconds
// after the move (see [WithRemovalDelay]). With [WithRollback] the Express
// session stays, so the app can go back to Express. In both cases a sign-out
// ends both sessions, and an Express session moves once. If the session of the
// Manager has ended, because it expired or was revoked, connect.sid does not
// begin another one.
//
// As soon as Move is in use, sign visitors in and out in Go only. Move does not look
// at Express again for a visitor who has a session of the Manager, and Express does
// not know this session.
//
// [session.Manager.RevokeAll] does not end Express sessions that have not moved yet. To
// refuse those that began before a change of password, use [WithUser].
//
// # Reading
//
// [Sessions.Load] returns the Express session of a request, while Express is
// still the only writer. [Key.Get] reads a property and [Session.User] the
// user. [Session.End] ends the session. A slow request of Express can bring the
// document back after that, but Load does not return it again.
//
// # Writing
//
// [Key.Set], [Key.Delete] and [Key.Update] change one property of an Express
// session in MongoDB. They never create a session. If Express stores
// sub-documents (stringify: false), they write only this property, and
// otherwise they compare and swap the text. Other properties are kept byte for
// byte.
//
// Express itself writes the whole session as it was when its request began, so
// it can undo a change of Go. examples/express/keywise-store.js is a store for
// Express that does not.
//
// # Stores
//
// A [Store] is where Express keeps its sessions. [NewMongoStore] reads those of
// connect-mongo, as text or as sub-documents, and encrypted by kruptein
// ([WithKruptein]) or by the Web Crypto adapter ([WithWebCrypto]). Package
// redisexpress, a module of its own, reads those of connect-redis.
//
// A store also keeps marks of Express sessions that have moved or ended. They
// are not part of the Express session, because a slow request of Express that
// stores a session again would lose them. MongoStore has them in a collection of
// its own.
//
// # Wrong configuration
//
// [Open] looks at a few sessions. If it cannot read any of them, it returns an error
// with the option to set. A wrong cookie secret is not visible there. Then no cookie
// has a valid signature, and no visitor moves.
//
// # Hostile input
//
// A cookie without a valid signature causes no store call and no error. A
// session that cannot be read is logged, counts as absent and is never
// overwritten.
package express
