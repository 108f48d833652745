package model_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/holdfast-go/session"
)

const secret = "an example secret of 32 bytes or more"

// mark is what the actors store: who wrote it, for which user. By is 0 for
// what was there at the start.
type mark struct {
	By   int
	User string
}

// tally is what they count in.
type tally struct {
	N    int
	By   int // who counted last
	User string
}

const (
	color  session.Key[mark]  = "color"
	shape  session.Key[mark]  = "shape"
	visits session.Key[tally] = "visits"
)

// sight is a value that an actor saw, stored for one user and shown to another.
type sight struct{ of, to string }

// browser keeps the cookie of the answer that arrived last.
type browser struct{ cookie *http.Cookie }

// actor is one request, or something else that happens at any moment.
type actor struct {
	n       int // from 1
	op      op
	browser *browser // nil: takes no cookie and has none
	wrapped bool     // runs as a handler in Manager.Wrap
	world   *world
	manager *session.Manager
	shares  *session.Session // that of a request of which the actor is a goroutine
	inTurn  bool             // it is in a call during which its Session's others wait
	free    bool             // it does not stop

	resume  chan fault
	next    *step // where it has stopped
	ended   bool
	past    bool // its admission
	failing int  // operations of the store, of those to come

	began   time.Time
	in      *http.Cookie // presented
	out     *http.Cookie // in the answer
	err     error        // the answer
	bodies  int          // answers written, of a handler
	user    string       // as of the admission
	after   string       // the user after a sign-in that failed and Discard
	fell    bool         // its sign-in failed, and it went on
	stored  int          // the count, by an Update
	sights  []sight
	counted []tally      // values that its Updates saw
	broken  any          // what it panicked with
	revoked []session.ID // one by one
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

// with tells whether two actors are the same or of the same request.
func (a *actor) with(o *actor) bool { return a == o || a.shares != nil && a.shares == o.shares }

// takeTurn calls a method that holds the Session's turn while it waits for the
// store.
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

// load is a request outside HTTP.
func (a *actor) load() error {
	ctx := a.context()
	s, err := a.manager.Load(ctx, a.cookies())
	if err != nil {
		return err
	}
	a.user, a.past = s.User(), true
	a.look(s)
	// What an Update stored has its answer; a Save has one of its own.
	stored := a.op.counts && !s.ID().IsZero()
	if err = a.op.do(ctx, a, s); err == nil && !stored {
		err = s.Save(ctx)
	}
	a.out = s.Cookie()
	return err
}

// serve is a request to a handler. A client that is gone before the answer
// counts as one that never gets the cookie.
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

// once counts the answers that a handler begins.
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

// process returns the Manager of one process. Between runs it holds nothing, so
// that all runs of a scenario share it.
func (sc *scenario) process() (*session.Manager, error) {
	// Longer than what an actor can be kept waiting, or else it would be the
	// timeouts that are explored.
	opts := []session.Option{session.WithStoreTimeout(10 * time.Minute)}
	if sc.wrapped {
		opts = append(opts, session.WithErrorHandler(answerError), session.WithObserver(observe))
	}
	return session.New(gate{}, secret, sc.options(opts...)...)
}

// look notes what the session shows to the user that was admitted.
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

// observe hears of a change that came too late. The connection is cut then,
// which is the answer.
func observe(ctx context.Context, e session.Event) {
	if e.Kind == session.EventLostChange {
		actorOf(ctx).err = e.Err
	}
}
