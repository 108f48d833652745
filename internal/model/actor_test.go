package model_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/holdfast-go/session"
)

const secret = "an example secret of 32 bytes or more"

// mark is a value written by an actor for a user. By is 0 for values present at
// the start.
type mark struct {
	By   int
	User string
}

// tally is the value incremented by Updates.
type tally struct {
	N    int
	By   int // the last actor to count
	User string
}

const (
	color  session.Key[mark]  = "color"
	shape  session.Key[mark]  = "shape"
	visits session.Key[tally] = "visits"
)

// sight is a value seen by an actor: stored for user of, shown to user to.
type sight struct{ of, to string }

// browser keeps the cookie of the last response to arrive.
type browser struct{ cookie *http.Cookie }

// actor is a request, or another event with an arbitrary time.
type actor struct {
	n       int // counted from 1
	op      op
	browser *browser // nil if the actor neither sends nor accepts cookies
	wrapped bool     // runs as a handler in Manager.Wrap
	world   *world
	manager *session.Manager
	shares  *session.Session // the Session of the request, if the actor is one goroutine of it
	inTurn  bool             // it is in a call that blocks other calls of its Session
	free    bool             // it never stops

	resume  chan fault
	next    *step // the step it has stopped before
	ended   bool
	past    bool // it has been admitted
	failing int  // number of later store operations that fail

	began   time.Time
	in      *http.Cookie // the presented cookie
	out     *http.Cookie // the cookie in the response
	err     error        // the error in the response
	bodies  int          // number of responses written by a handler
	user    string       // the user at admission
	after   string       // the user after a failed sign-in and Discard
	fell    bool         // its sign-in failed, and it continued
	stored  int          // the count returned by an Update
	sights  []sight
	counted []tally      // values seen by its Updates
	broken  any          // the value of a panic
	revoked []session.ID // sessions revoked one by one
	events  []session.Event
}

func (a *actor) live() {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			a.broken = p
		}
		a.ended, a.next = true, nil
		a.world.events <- a
	}()
	a.stop(step{what: "begin", touch: foot{jar: a.browser, admit: true}})
	a.began = time.Now()
	if a.browser != nil {
		a.in = a.browser.cookie
	}
	switch {
	case a.op.alone != nil:
		a.past = true
		a.err = a.op.alone(a)
	case a.shares != nil:
		a.past = true
		a.err = a.op.do(a.context(), a, a.shares)
		a.out = a.shares.Cookie()
	case a.wrapped:
		a.serve()
	default:
		a.err = a.load()
	}
	if a.out != nil && a.browser != nil {
		a.stop(step{what: "answer", touch: foot{jar: a.browser, arrive: true}})
		a.browser.take(a.out)
	}
}

// with reports whether two actors are the same or belong to one request.
func (a *actor) with(o *actor) bool { return a == o || a.shares != nil && a.shares == o.shares }

// takeTurn calls a method that holds the Session's lock for store operations
// while it waits for the store.
func (a *actor) takeTurn(call func(context.Context) error) error {
	a.inTurn = true
	defer func() { a.inTurn = false }()
	return call(a.context())
}

func (b *browser) take(c *http.Cookie) {
	b.cookie = c
	if c.MaxAge < 0 {
		b.cookie = nil
	}
}

func (a *actor) cookies() []*http.Cookie {
	if a.in == nil {
		return nil
	}
	return []*http.Cookie{a.in}
}

// load runs a request outside HTTP.
func (a *actor) load() error {
	ctx := a.context()
	s, err := a.manager.Load(ctx, a.cookies())
	if err != nil {
		return err
	}
	a.user, a.past = s.User(), true
	a.look(s)
	// Update has returned the outcome of its write already; Save returns its
	// own.
	stored := a.op.counts && !s.ID().IsZero()
	if err = a.op.do(ctx, a, s); err == nil && !stored {
		err = s.Save(ctx)
	}
	a.out = s.Cookie()
	return err
}

// serve runs a request to a handler. A client that has gone never receives the
// cookie.
func (a *actor) serve() {
	ctx, leave := context.WithCancel(a.context())
	defer leave()
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	for _, c := range a.cookies() {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	a.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		a.user, a.past = s.User(), true
		a.look(s)
		if a.op.late {
			_, _ = w.Write([]byte("ok"))
		}
		if a.op.gone {
			leave()
		}
		if a.err = a.op.do(r.Context(), a, s); a.err != nil {
			http.Error(w, a.err.Error(), session.HTTPStatus(a.err))
			return
		}
		_, _ = w.Write([]byte("ok"))
	})).ServeHTTP(&once{w, &a.bodies}, r)
	for _, c := range w.Result().Cookies() {
		a.out = c
	}
}

// once counts the responses begun by a handler.
type once struct {
	*httptest.ResponseRecorder
	answers *int
}

func (o *once) WriteHeader(status int) {
	*o.answers++
	o.ResponseRecorder.WriteHeader(status)
}

func (o *once) Write(b []byte) (int, error) {
	if *o.answers == 0 {
		*o.answers = 1
	}
	return o.ResponseRecorder.Write(b)
}

// process returns the Manager of one process. A Manager holds no state between
// runs, so all runs of a scenario share it.
func (sc *scenario) process() (*session.Manager, error) {
	// The store timeout must be longer than an actor can be blocked. Otherwise
	// the runs would explore timeouts.
	opts := []session.Option{session.WithStoreTimeout(10 * time.Minute), session.WithObserver(observe)}
	if sc.wrapped {
		opts = append(opts, session.WithErrorHandler(answerError))
	}
	return session.New(gate{}, secret, sc.options(opts...)...)
}

// look records the values shown to the admitted user.
func (a *actor) look(s *session.Session) {
	for _, k := range []session.Key[mark]{color, shape} {
		if v, ok := k.Get(s); ok {
			a.sights = append(a.sights, sight{v.User, a.user})
		}
	}
	if v, ok := visits.Get(s); ok {
		a.sights = append(a.sights, sight{v.User, a.user})
	}
}

func answerError(w http.ResponseWriter, r *http.Request, err error) {
	actorOf(r.Context()).err = err
	w.WriteHeader(session.HTTPStatus(err))
}

// observe records the steps in the life of sessions, and the error of a lost
// change. The Manager then cuts the connection, so this error is the response.
func observe(ctx context.Context, e session.Event) {
	switch {
	case e.Kind == session.EventLostChange:
		actorOf(ctx).err = e.Err
	case e.Reason != "":
		a := actorOf(ctx)
		a.events = append(a.events, e)
	}
}
