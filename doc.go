// Package session provides durable server-side sessions for [net/http] handlers.
//
// A [Manager] wraps an [http.Handler]. It loads the session before the handler
// runs and saves it before the first byte of the response is sent. Session data is
// kept in a [Store]. Package mongostore provides one for MongoDB. Sessions survive
// restarts, and all replicas see the same session.
//
//	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"))
//	// handle err
//	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
//	// handle err
//	http.ListenAndServe(addr, sessions.Wrap(mux))
//
// # Reading and writing values
//
// In a handler, [FromContext] returns the request's [Session]. Declare a [Key] for
// each value. It carries the type of the value:
//
//	const visits session.Key[int] = "visits"
//
//	s := session.FromContext(r.Context())
//	n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
//
// The changes of [Key.Set] and [Key.Delete] are saved with the response.
// [Key.Update] is an atomic read-modify-write. If the session is already stored, it
// is saved immediately. [Session.Save] saves all pending changes immediately.
//
// A session starts with the first value or sign-in. Until then the visitor has no
// cookie and no record, and the Manager does not access the store.
//
// # Signing in and out
//
// Call [Session.SignIn] after checking credentials, with a stable ID of the user.
// Call [Session.SignOut] to end the session. [Session.User] returns the user.
// [Manager.List], [Manager.Revoke], [Manager.RevokeAll] and [Session.RevokeOthers]
// manage all sessions of a user.
//
// # Clients without cookies
//
// With [WithTokenHeader] mobile apps and other programs send the token in a header,
// to the same handlers. [Manager.LoadRequest] loads the session of a request without
// Wrap, as in a gateway.
//
// # Errors
//
// Methods with a context access the store and return an error. [HTTPStatus]
// converts it to a status code. Other methods return no error. If one of their
// calls is invalid or the session cannot be saved, the Manager discards the
// handler's response and calls the error handler (see [WithErrorHandler]). So no
// client receives a success if its changes were not saved.
//
// If a change after the first byte cannot be saved, the Manager aborts the
// response. It also logs the error and reports [EventLostChange].
//
// If a handler panics, its pending changes are discarded. Changes that Save, Update
// or an earlier byte of the response has saved are kept.
//
// # Timeouts
//
// A session ends after [WithIdleTimeout] without a request, and after
// [WithLifetime] in any case. [Session.SetTimeouts] sets both for one session
// ("remember me"). [WithStoreTimeout] limits the time for which a request waits for
// the store.
//
// # Concurrency
//
// Requests of one visitor may run at the same time, on different replicas. Changes
// of different keys are all kept. If two requests set the same key, the last write
// wins. Concurrent calls of Update do not overwrite each other. After a session has ended, no
// request can restore it.
//
// # Security
//
// By default the cookie is Secure, HttpOnly and SameSite=Lax. It is signed. The
// store contains only a hash of the token's secret. [WithEncryption] also encrypts
// the values in the store.
//
// The package does not protect against cross-site request forgery. Put
// [http.CrossOriginProtection] around the handler of Wrap.
//
// # Testing
//
// Package memstore provides a Manager and a store for tests. Its WithSession adds
// the cookie of a session to a request, so a test can call a handler as a
// signed-in user:
//
//	sessions := memstore.NewManager()
//	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "/", nil), func(s *session.Session) {
//		s.SignIn("ann")
//	})
//	sessions.Wrap(handler).ServeHTTP(w, r)
//
// A Manager uses package time, so package [testing/synctest] tests timeouts without
// waiting. With [NewContext] a test can call a handler without Wrap.
//
// # Writing a store
//
// Only authors of a [Store] need [Record], [Change], [Guard] and [Value]. Package
// storetest tests an implementation.
package session
