// Package console has pages about sessions, for operators and for users. They need
// no JavaScript and no further dependency.
//
// A [Console] is for operators. They find a user, see the user's sessions and end
// them. They also see the store calls and the events of this replica. Mount it in
// the admin area of a program:
//
//	recorder := console.NewRecorder("")
//	sessions, err := session.New(store, secret, session.WithObserver(recorder.Observe))
//	// handle err
//	admin, err := console.New(sessions, store, authorize, console.WithRecorder(recorder))
//	// handle err
//	mux.Handle("/admin/sessions/", admin)
//
// [Devices] is for users. On its page a user sees the devices on which they are
// signed in, and ends the sessions of other devices. The same list can be part of
// a page of the program.
//
// The pages show no token and no verifier, and the names of keys but no values.
// User names and User-Agent headers are treated as hostile text.
package console
