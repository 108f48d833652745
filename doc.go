// Package session gives net/http handlers durable sessions. A [Manager] wraps
// any [http.Handler], signs the cookie and keeps the data in a [Store], of
// which package mongostore has the one for MongoDB:
//
//	store, err := mongostore.Open(ctx, os.Getenv("MONGO_URI"))
//	…
//	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
//	…
//	http.ListenAndServe(addr, sessions.Wrap(mux))
//
// In a handler, [FromContext] returns the request's [Session], and a [Key]
// reads and writes a value of one type:
//
//	const visits session.Key[int] = "visits"
//
//	s := session.FromContext(r.Context())
//	n, err := visits.Update(r.Context(), s, func(n int) int { return n + 1 })
//
// Sessions survive restarts and are the same on all replicas. Requests that
// write different keys of one session at the same time both win, Update is
// exact, and nothing that is in flight brings a session back that has been
// destroyed. Each request loads its session at its start and commits it before
// the first byte of its response; what cannot be stored is never answered as
// done. A visitor for whom nothing is stored costs nothing.
package session
