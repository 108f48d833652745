package session_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

// Each test runs a fault seen in other session libraries against this one, on
// the server. docs/promises.md lists them.

// shop returns an app with a store on the server, and a visitor.
func shop(t *testing.T, opts ...session.Option) (*app, *visitor, *mongostore.Store) {
	t.Helper()
	store := newMongo(t)
	return newApp(t, newManager(t, store, opts...)), newVisitor(t), store
}

// during runs other while the handler of another request runs, and then do in
// that handler. It returns the response of the outer request.
func during(v *visitor, a *app, other, do func(s *session.Session)) answer {
	v.t.Helper()
	return request(v, a, func(s *session.Session) {
		request(v, a, other)
		do(s)
	})
}

func TestFault01_LostUpdate(t *testing.T) {
	a, v, _ := shop(t)
	request(v, a, func(s *session.Session) { visits.Set(s, 1) })
	during(v, a, func(s *session.Session) { color.Set(s, "red") }, func(s *session.Session) { shape.Set(s, "round") })
	request(v, a, func(s *session.Session) {
		require.Equal(t, "red round", color.GetOr(s, "")+" "+shape.GetOr(s, ""))
	})
}

func TestFault02_SignOutUndone(t *testing.T) {
	for name, slow := range map[string]func(s *session.Session){
		"save":   func(s *session.Session) { color.Set(s, "red") },
		"renew":  (*session.Session).Renew,
		"read":   func(s *session.Session) { color.Get(s) },
		"touch":  func(s *session.Session) { s.Save(background) },
		"update": func(s *session.Session) { visits.Update(background, s, func(n int) int { return n + 1 }) },
	} {
		t.Run(name, func(t *testing.T) {
			a, v, store := shop(t, session.WithTouchInterval(0))
			v.login(a, "ann")
			cookie := v.cookies(a)
			during(v, a, (*session.Session).SignOut, slow)
			require.Equal(t, "", userOf(t, a, cookie))
			require.Equal(t, "", v.user(a))
			require.Zero(t, documents(t, store))
		})
	}
}

// A sign-in whose session has ended meanwhile starts another session, without
// the data and the token of the old one.
func TestFault02_SignInAfterSignOut(t *testing.T) {
	a, v, store := shop(t)
	v.login(a, "ann")
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	cookie := v.cookies(a)
	during(v, a, (*session.Session).SignOut, func(s *session.Session) { s.SignIn("ann"); visits.Set(s, 1) })
	require.Equal(t, "", userOf(t, a, cookie))
	user, n, col := v.see(a)
	require.Equal(t, "ann 1 ", fmt.Sprint(user, " ", n, " ", col))
	require.Equal(t, 1, documents(t, store))
}

func TestFault03_WriteOnEveryRequest(t *testing.T) {
	coll, count := counted(t)
	a, v := newApp(t, newManager(t, openMongo(t, coll, noSweep))), newVisitor(t)
	v.login(a, "ann")
	count.take()
	for range 10 {
		require.Empty(t, request(v, a, func(s *session.Session) { color.Get(s) }).Header["Set-Cookie"])
	}
	require.Equal(t, strings.TrimSpace(strings.Repeat("find ", 10)), count.take())
}

func TestFault04_RedirectBeforeSave(t *testing.T) {
	a, v, store := shop(t)
	res := v.do(a, func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		s.SignIn("ann")
		http.Redirect(w, r, "/next", http.StatusSeeOther)
		// The client may have received the redirect by now.
		require.Equal(t, 1, documents(t, store))
	})
	require.Equal(t, 303, res.StatusCode)
	require.Equal(t, "ann", v.user(a))
}

func TestFault05_SuccessBeforeFailedSave(t *testing.T) {
	store := &faulty{Store: newMongo(t)}
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	store.fail("Insert", errDown)
	res := v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		s.SignIn("ann")
		w.Header().Set("X-Secret", "1")
		io.WriteString(w, "the secret page")
	})
	require.Equal(t, 503, res.StatusCode)
	require.NotContains(t, res.body, "secret")
	require.Empty(t, res.Header["Set-Cookie"])
	require.Empty(t, res.Header["X-Secret"])
}

func TestFault06_FlushBeforeCommit(t *testing.T) {
	a, v, _ := shop(t)
	for name, first := range map[string]func(w http.ResponseWriter){
		"flush": func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"103":   func(w http.ResponseWriter) { w.WriteHeader(103) },
	} {
		res := bare(t).do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			if name == "flush" {
				s.SignIn("ann")
			}
			first(w)
			if name == "103" {
				s.SignIn("ann")
			}
			io.WriteString(w, "page")
		})
		require.Len(t, res.Cookies(), 1, name)
		require.Equal(t, "ann", userOf(t, a, host+"="+res.Cookies()[0].Value))
	}
	_ = v
}

func TestFault07_LateValue(t *testing.T) {
	a, v, store := shop(t)
	late := func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		io.WriteString(w, "page")
		w.(http.Flusher).Flush()
		color.Set(s, "red")
	}
	require.Error(t, v.try(a, late).err, "without a session, the connection is cut")
	require.Zero(t, documents(t, store), "no record without a cookie")
	v.login(a, "ann")
	require.NoError(t, v.try(a, late).err)
	_, _, col := v.see(a)
	require.Equal(t, "red", col)
}

func TestFault08_HijackLosesCookie(t *testing.T) {
	a, v, store := shop(t)
	res := v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		s.SignIn("ann")
		_, _, err := w.(http.Hijacker).Hijack()
		require.ErrorIs(t, err, session.ErrUndeliverable)
		require.Zero(t, documents(t, store))
	})
	require.NotNil(t, res.setCookie(host), "the handler can still respond")
	require.Equal(t, "ann", v.user(a))
}

func TestFault09_RenewalLosesData(t *testing.T) {
	store := &faulty{Store: newMongo(t)}
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	store.fail("Update", errDown)
	require.Equal(t, 503, request(v, a, func(s *session.Session) { s.SignIn("ann") }).StatusCode)
	store.fail("Update", nil)
	_, _, col := v.see(a)
	require.Equal(t, "red", col, "a failed renewal loses nothing")
	old := v.cookies(a)
	v.login(a, "ann")
	require.Equal(t, "", userOf(t, a, old), "the old token is invalid")
	require.Equal(t, 1, documents(t, store.Store), "there is one record")
	// A replayed cookie does not bring its ID back.
	var gone, next session.ID
	cookie := v.cookies(a)
	request(v, a, func(s *session.Session) { gone = s.ID(); s.SignOut() })
	ask(t, a, cookie, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "x"); next = s.ID() })
	require.NotEqual(t, gone, next)
	require.NotZero(t, next)
}

func TestFault10_FailedLoad(t *testing.T) {
	store := &faulty{Store: newMongo(t)}
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	v.login(a, "ann")
	store.fail("Load", errDown)
	res := request(v, a, func(s *session.Session) { color.Set(s, "red") })
	require.Equal(t, 503, res.StatusCode)
	require.Empty(t, res.Header["Set-Cookie"])
	store.fail("Load", nil)
	require.Equal(t, "ann", v.user(a))
}

func TestFault11_UndecodableRecord(t *testing.T) {
	a, v, store := shop(t)
	request(v, a, func(s *session.Session) { s.SignIn("ann"); color.Set(s, "red"); visits.Set(s, 3) })
	coll := store.Collection()
	for _, damage := range []bson.D{
		{{Key: "data.color", Value: 7}},
		{{Key: "data.color", Value: bson.D{{Key: "v", Value: "{"}, {Key: "n", Value: int64(1)}}}},
		{{Key: "idle", Value: "x"}},
		{{Key: "client", Value: bson.A{1}}},
	} {
		_, err := coll.UpdateOne(background, bson.D{{Key: "user", Value: "ann"}}, bson.D{{Key: "$set", Value: damage}})
		require.NoError(t, err)
		user, n, col := v.see(a)
		require.Equal(t, "ann3", fmt.Sprint(user, n), damage)
		require.Empty(t, col)
	}
	_, err := coll.UpdateOne(background, bson.D{{Key: "user", Value: "ann"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "verifier", Value: 1}}}})
	require.NoError(t, err)
	require.Equal(t, "", v.user(a), "a damaged record signs the visitor out")
	v.login(a, "ann")
	require.Equal(t, "ann", v.user(a))
}

func TestFault12_TwoCookies(t *testing.T) {
	a, v, _ := shop(t)
	v.login(a, "ann")
	for _, stale := range []string{host + "=junk", staleCookie(t)} {
		require.Equal(t, "ann", userOf(t, a, stale+"; "+v.cookies(a)))
		require.Equal(t, "ann", userOf(t, a, v.cookies(a)+"; "+stale))
	}
}

// staleCookie returns a cookie with a valid signature whose session does not
// exist.
func staleCookie(t *testing.T) string {
	a, v := newApp(t, newManager(t, memstore.New())), newVisitor(t)
	v.login(a, "ann")
	return v.cookies(a)
}

func TestFault13_NoExpiry(t *testing.T) {
	store := newMongo(t)
	coll := store.Collection()
	// Requests write the field with the name and type expected by the TTL index
	// or, on a server without one, by the sweep.
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	v.login(a, "ann")
	doc := must(coll.FindOne(background, bson.D{}).Raw())
	require.Equal(t, bson.TypeDateTime, doc.Lookup("expires").Type)
	if testserver.Get(t).TTL {
		found := false
		for _, spec := range must(coll.Indexes().ListSpecifications(background)) {
			if spec.ExpireAfterSeconds != nil {
				found = true
				_, err := spec.KeysDocument.LookupErr("expires")
				require.NoError(t, err)
			}
		}
		require.True(t, found)
		return
	}
	_, err := coll.UpdateOne(background, bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "expires", Value: time.Now().Add(-time.Hour)}}}})
	require.NoError(t, err)
	// The first sweep of a store runs within five seconds of opening it.
	require.Eventually(t, func() bool { return must(coll.CountDocuments(background, bson.D{})) == 0 }, 20*time.Second, 20*time.Millisecond)
}

func TestFault14_ExpiredRecord(t *testing.T) {
	now := newClock()
	m := newManager(t, newMongo(t))
	m.SetClock(now.Now)
	a, v := newApp(t, m), newVisitor(t)
	v.login(a, "ann")
	now.advance(31 * day)
	res := request(v, a, func(s *session.Session) {
		require.Empty(t, s.User())
		color.Set(s, "red")
	})
	require.Equal(t, 200, res.StatusCode)
	_, _, col := v.see(a)
	require.Equal(t, "red", col)
}

func TestFault15_TouchOfDeletedRecord(t *testing.T) {
	store := newMongo(t)
	slow, at := stoppedAtUpdates(store)
	a := newApp(t, newManager(t, store))
	later := newManager(t, slow)
	later.SetClock(func() time.Time { return time.Now().Add(2 * time.Hour) })
	b := newApp(t, later)
	v := newVisitor(t)
	v.login(a, "ann")
	cookie := v.cookies(a)
	done := make(chan answer)
	go func() { done <- bare(t).try(b, nothing, "Cookie", cookie) }()
	<-at
	request(v, a, (*session.Session).SignOut)
	at <- struct{}{}
	require.Equal(t, 200, (<-done).StatusCode)
	require.Zero(t, documents(t, store))
}

func TestFault16_TokensInDatabase(t *testing.T) {
	a, v, store := shop(t, session.WithClientInfo())
	request(v, a, func(s *session.Session) { color.Set(s, "red") })
	first := v.login(a, "ann").setCookie(host).Value
	second := request(v, a, (*session.Session).Renew).setCookie(host).Value
	must(a.m.RevokeAll(background, "nobody"))
	var dump strings.Builder
	cur := must(store.Collection().Find(background, bson.D{}))
	for cur.Next(background) {
		dump.WriteString(cur.Current.String())
		dump.Write(cur.Current)
	}
	require.Contains(t, dump.String(), "ann")
	for _, cookie := range []string{first, second} {
		token := session.Token(secret, cookie)
		for _, part := range []string{token, token[16:]} {
			for _, form := range []string{
				part, hex.EncodeToString([]byte(part)), base64.StdEncoding.EncodeToString([]byte(part)), base64.RawURLEncoding.EncodeToString([]byte(part)),
			} {
				require.NotContains(t, dump.String(), form)
			}
		}
		require.NotContains(t, dump.String(), cookie)
	}
}

func TestFault17_CookieOverHTTP(t *testing.T) {
	log := new(logs)
	a, _, store := shop(t, log.option())
	res := bare(t).do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { color.Set(s, "red") })
	require.NotNil(t, res.setCookie(host), "a browser on localhost keeps it")
	require.Equal(t, 1, documents(t, store))
	// Requests from elsewhere log a warning; see TestProduction_TrustedProxy.
}

func TestFault18_WeakDefaults(t *testing.T) {
	a, v, _ := shop(t)
	c := v.login(a, "ann").setCookie(host)
	require.True(t, c.Secure && c.HttpOnly && c.SameSite == http.SameSiteLaxMode)
}

// The request's deadline must not cancel an operation, and a server that does
// not respond must not block a request forever.
func TestFault19_Deadlines(t *testing.T) {
	coll, count := counted(t)
	m := newManager(t, openMongo(t, coll, noSweep), session.WithStoreTimeout(200*time.Millisecond))
	ctx, cancel := context.WithCancel(background)
	cancel()
	s := must(m.Load(ctx, nil))
	s.SignIn("ann")
	require.NoError(t, s.Save(ctx), "the commit of a cancelled request runs")
	again := must(m.Load(ctx, []*http.Cookie{s.Cookie()}))
	require.Equal(t, "ann", again.User())
	require.Contains(t, count.take(), "insert find find")

	l := must(net.Listen("tcp", "127.0.0.1:0")) // a server that never responds
	defer l.Close()
	client := must(mongo.Connect(options.Client().ApplyURI("mongodb://" + l.Addr().String())))
	defer client.Disconnect(background)
	dead := newManager(t, deadStore{client.Database("app").Collection("s")}, session.WithStoreTimeout(50*time.Millisecond))
	_, err := dead.Load(background, []*http.Cookie{s.Cookie()})
	require.ErrorContains(t, err, "no reply within 50ms")
	require.Equal(t, 503, session.HTTPStatus(err))
}

// deadStore queries a server directly.
type deadStore struct{ coll *mongo.Collection }

func (d deadStore) Load(ctx context.Context, _ session.ID) (*session.Record, error) {
	return nil, d.coll.FindOne(ctx, bson.D{}).Err()
}
func (deadStore) Insert(context.Context, *session.Record) error             { return errDown }
func (deadStore) Update(context.Context, session.ID, *session.Change) error { return errDown }
func (deadStore) Delete(context.Context, session.ID) error                  { return errDown }
func (deadStore) List(context.Context, string) ([]session.Info, error)      { return nil, errDown }

// If the server is down when the app starts, Open returns an error. If it goes
// down later, the store reconnects when it is back.
func TestFault20_FailedConnect(t *testing.T) {
	server := testserver.Get(t)
	addr := must(options.Client().ApplyURI(server.URI).Hosts, nil)[0]
	gate := newGate(t, addr)
	there := must(url.Parse(strings.Replace(server.URI, addr, gate.addr(), 1)))
	q := there.Query()
	q.Set("directConnection", "true")
	q.Set("connectTimeoutMS", "300")
	there.Path, there.RawQuery = "/", q.Encode() // without the path, the query is malformed
	uri := there.String()
	gate.shut()
	db := testserver.Collection(t).Database().Name()
	_, err := mongostore.Open(background, uri, mongostore.WithDatabase(db))
	require.ErrorContains(t, err, gate.addr())
	gate.open()
	store, err := mongostore.Open(background, uri, mongostore.WithDatabase(db))
	require.NoError(t, err)
	defer store.Close(background)
	a, v := newApp(t, newManager(t, store, session.WithStoreTimeout(500*time.Millisecond))), newVisitor(t)
	v.login(a, "ann")
	gate.shut()
	require.Equal(t, 503, v.do(a, nothing).StatusCode)
	gate.open()
	require.Eventually(t, func() bool { return v.do(a, nothing).StatusCode == 200 }, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, "ann", v.user(a))
}

// gate is a TCP proxy in front of the server that can be shut.
type gate struct {
	l      net.Listener
	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	done   sync.WaitGroup
}

func newGate(t *testing.T, target string) *gate {
	g := &gate{l: must(net.Listen("tcp", "127.0.0.1:0")), conns: map[net.Conn]bool{}}
	g.done.Go(func() {
		for {
			c, err := g.l.Accept()
			if err != nil {
				return
			}
			g.done.Go(func() { g.pass(c, target) })
		}
	})
	t.Cleanup(func() { g.l.Close(); g.shut(); g.done.Wait() })
	return g
}

func (g *gate) addr() string { return g.l.Addr().String() }

func (g *gate) pass(c net.Conn, target string) {
	defer c.Close()
	up, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer up.Close()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.conns[c], g.conns[up] = true, true
	g.mu.Unlock()
	go func() { io.Copy(up, c); up.Close() }()
	io.Copy(c, up)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for c := range g.conns {
		c.Close()
	}
	clear(g.conns)
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}

// A Manager has no goroutines, and Close ends a store's sweep. TestMain fails
// if a goroutine is left.
func TestFault21_CleanupLeaks(t *testing.T) {
	coll := testserver.Collection(t)
	for range 5 {
		store, err := mongostore.OpenCollection(background, coll, mongostore.WithExpiry(mongostore.ExpirySweep))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { require.NoError(t, store.Close(background)) })
		}
		wg.Wait()
	}
}

func TestFault22_DataLargerThanCookie(t *testing.T) {
	a, v, _ := shop(t)
	big := strings.Repeat("x", 60_000)
	res := request(v, a, func(s *session.Session) { color.Set(s, big) })
	require.Less(t, len(res.Header.Get("Set-Cookie")), 300)
	_, _, col := v.see(a)
	require.Equal(t, big, col)
}

func TestFault23_RevokeByIterating(t *testing.T) {
	coll, count := counted(t)
	m := newManager(t, openMongo(t, coll, noSweep))
	a := newApp(t, m)
	v := newVisitor(t)
	v.login(a, "ann")
	newVisitor(t).login(a, "bob")
	count.take()
	n, err := m.RevokeAll(background, "ann")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, "find insert find delete", count.take(), "the marker, then one list and the listed sessions")
	require.Equal(t, "", v.user(a))
}

func TestFault24_ExpiriesDrift(t *testing.T) {
	now := newClock()
	store := newMongo(t)
	m := newManager(t, store)
	m.SetClock(now.Now)
	a, v := newApp(t, m), newVisitor(t)
	maxAge := v.login(a, "ann").setCookie(host).MaxAge
	signedIn := now.Now()
	for range 29 {
		now.advance(day)
		require.Equal(t, "ann", v.user(a))
	}
	info := must(m.List(background, "ann"))[0]
	require.Equal(t, signedIn.Add(time.Duration(maxAge)*time.Second), info.Deadline, "the cookie lasts for the session's lifetime")
	require.Equal(t, info.Deadline, info.ExpiresAt, "no touch goes beyond the lifetime")
	doc := must(store.Collection().FindOne(background, bson.D{{Key: "user", Value: "ann"}}).Raw())
	require.Equal(t, info.ExpiresAt.UnixMilli(), doc.Lookup("expires").DateTime(), "the TTL index and the Manager use the same time")
}
