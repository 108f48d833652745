package express_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

const (
	cart  session.Key[[]string] = "cart"
	views session.Key[int]      = "views"

	sessionOfAda = `{` + plainCookie + `,"passport":{"user":"ada"},"cart":["tea"]}`
	sessionOfOne = `{` + plainCookie + `,"cart":["tea"]}` // nobody has signed in
)

// site is a Go app with the sessions of an Express app.
type site struct {
	*httptest.Server
	t     testing.TB
	m     *session.Manager
	coll  *mongo.Collection // nil without MongoDB
	store *hooked
	logs  *logs
}

// hook sets the function that is called before each operation of the store of
// Express. It is nil at first.
func (s *site) hook(f func(op string) error) { s.store.set(f) }

// newSite starts a site with sessions in records.
func newSite(t testing.TB, records session.Store, opts ...express.Option) *site {
	t.Helper()
	coll := collection(t)
	store, err := express.NewMongoStore(coll)
	require.NoError(t, err)
	s := newSiteOn(t, store, records, opts...)
	s.coll = coll
	return s
}

// newSiteOn is newSite for another store of Express.
func newSiteOn(t testing.TB, store express.Store, records session.Store, opts ...express.Option) *site {
	t.Helper()
	s := &site{t: t, store: &hooked{Store: store}, logs: &logs{}}
	log := slog.New(slog.NewTextHandler(s.logs, nil))
	opts = append([]express.Option{
		express.WithProperty("cart", cart), express.WithProperty("views", views), express.WithRemovalDelay(0), express.WithLogger(log),
	}, opts...)
	old, err := express.Open(t.Context(), s.store, secret, opts...)
	require.NoError(t, err)
	s.m, err = session.New(records, goSecret, session.WithLogger(log))
	require.NoError(t, err)
	s.Server = httptest.NewServer(s.m.Wrap(old.Move(s.m, s.app())))
	t.Cleanup(s.Close)
	return s
}

// app is a shop.
func (s *site) app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		v := session.FromContext(r.Context())
		fmt.Fprintf(w, "%s %s %d", v.User(), strings.Join(cart.GetOr(v, nil), ","), views.GetOr(v, 0))
	})
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		v := session.FromContext(r.Context())
		_, err := cart.Update(r.Context(), v, func(all []string) []string { return append(all, r.URL.Query().Get("add")) })
		if err != nil {
			session.DefaultErrorHandler(w, r, err)
		}
	})
	mux.HandleFunc("POST /login", func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn(r.URL.Query().Get("user"))
	})
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) { session.FromContext(r.Context()).SignOut() })
	return mux
}

// express stores a session of Express. It returns the value of its cookie.
func (s *site) express(id string, form any) string {
	s.t.Helper()
	insert(s.t, s.coll, bson.D{{Key: "_id", Value: id}, {Key: "session", Value: form}, {Key: "expires", Value: time.Now().Add(time.Hour)}})
	return signed(id)
}

// documents returns the number of sessions of Express.
func (s *site) documents() int {
	s.t.Helper()
	n, err := s.coll.CountDocuments(s.t.Context(), bson.D{})
	require.NoError(s.t, err)
	return int(n)
}

// browser is a client with cookies.
type browser struct {
	http.Client
	site *site
	u    *url.URL
}

// browser returns a browser with a cookie of Express, unless it is empty.
func (s *site) browser(sid string) *browser {
	b := &browser{http.Client{Jar: must(cookiejar.New(nil)), Timeout: time.Minute}, s, must(url.Parse(s.URL))}
	b.set(sid)
	return b
}

// set sets the cookie of Express, as a response of Express does.
func (b *browser) set(sid string) {
	if sid != "" {
		b.Jar.SetCookies(b.u, []*http.Cookie{{Name: "connect.sid", Value: sid, Path: "/"}})
	}
}

// cookie returns the value of a cookie, or "".
func (b *browser) cookie(name string) string {
	for _, c := range b.Jar.Cookies(b.u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// drop removes the session cookie of Go, as if its response was lost.
func (b *browser) drop() {
	b.Jar.SetCookies(b.u, []*http.Cookie{{Name: b.site.m.CookieName(), MaxAge: -1, Path: "/", Secure: true}})
}

// reply is a response with its body.
type reply struct {
	*http.Response
	body string
}

func (b *browser) send(method, path string, header ...string) reply {
	req := must(http.NewRequest(method, b.site.URL+path, nil))
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.Do(req)
	if err != nil {
		b.site.t.Errorf("%s %s: %v", method, path, err)
		return reply{Response: &http.Response{Header: http.Header{}}}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.site.t.Errorf("%s %s: %v", method, path, err)
	}
	return reply{res, string(body)}
}

// sees requires the shop to know the user, the cart and the views.
func (b *browser) sees(want string) {
	b.site.t.Helper()
	res := b.send("GET", "/")
	require.Equal(b.site.t, 200, res.StatusCode, res.body)
	require.Equal(b.site.t, want, res.body)
}

// post requires a POST to succeed.
func (b *browser) post(path string) {
	b.site.t.Helper()
	res := b.send("POST", path)
	require.Equal(b.site.t, 200, res.StatusCode, res.body)
}
