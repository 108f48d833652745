package session_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

// These tests cover problems of apps that keep sessions in process memory: a
// restart signs everybody out, memory grows without bound, and a load balancer
// breaks sign-ins.

// helperEnv makes this test binary serve one app.
const helperEnv = "SESSION_TEST_SERVE"

// serveAsProcess is the main function of the app processes. The store and the
// secret come from the environment.
func serveAsProcess() error {
	store, err := mongostore.Open(background, os.Getenv("MONGO_URI"), mongostore.WithDatabase(os.Getenv("DATABASE")))
	if err != nil {
		return err
	}
	m, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(_ http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		s.SignIn("ann")
		color.Set(s, "red")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		w.Write([]byte(s.User() + " " + color.GetOr(s, "")))
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	os.Stdout.WriteString("http://" + l.Addr().String() + "\n")
	return http.Serve(l, m.Wrap(mux))
}

// process starts an app in its own process.
func process(t *testing.T, db string) (base string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1", "MONGO_URI="+testserver.Get(t).URI, "SESSION_SECRET="+secret, "DATABASE="+db)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(kill)
	line := make([]byte, 100)
	n, err := out.Read(line)
	require.NoError(t, err)
	return strings.TrimSpace(string(line[:n])), kill
}

func TestProduction_ProcessRestart(t *testing.T) {
	db := testserver.Collection(t).Database().Name()
	v := newVisitor(t)
	base, kill := process(t, db)
	v.send("GET", base+"/login")
	require.Equal(t, "ann red", v.send("GET", base+"/").body)
	kill() // with SIGKILL, so the process cannot write anything at exit
	base, _ = process(t, db)
	require.Equal(t, "ann red", v.send("GET", base+"/").body)
}

func TestProduction_TwoInstances(t *testing.T) {
	db := testserver.Collection(t).Database().Name()
	one, killOne := process(t, db)
	two, _ := process(t, db)
	targets := []*url.URL{must(url.Parse(one)), must(url.Parse(two))}
	turn := 0
	balancer := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		turn++
		r.SetURL(targets[turn%2])
	}})
	defer balancer.Close()
	v := newVisitor(t)
	v.send("GET", balancer.URL+"/login")
	for range 6 {
		require.Equal(t, "ann red", v.send("GET", balancer.URL+"/").body)
	}
	killOne()
	targets[0] = targets[1]
	require.Equal(t, "ann red", v.send("GET", balancer.URL+"/").body)
}

func TestProduction_TTLIndex(t *testing.T) {
	server := testserver.Get(t)
	server.Need(t, "TTL indexes", server.TTL)
	coll := testserver.Collection(t)
	store := openMongo(t, coll)
	specs, err := coll.Indexes().ListSpecifications(background)
	require.NoError(t, err)
	found := false
	for _, spec := range specs {
		if spec.ExpireAfterSeconds != nil {
			found = true
			require.EqualValues(t, 300, *spec.ExpireAfterSeconds)
			require.JSONEq(t, `{"expires": 1}`, intsOf(t, spec.KeysDocument))
		}
	}
	require.True(t, found, "no TTL index")

	// The server removes a record that expired more than 300 seconds ago.
	now := time.Now()
	gone, kept := session.ID{1}, session.ID{2}
	for id, expires := range map[session.ID]time.Time{gone: now.Add(-310 * time.Second), kept: now.Add(-200 * time.Second)} {
		require.NoError(t, store.Insert(background, &session.Record{Info: session.Info{ID: id, ExpiresAt: expires, Deadline: expires}, Verifier: []byte("x")}))
	}
	// mongod checks every 60 seconds.
	require.Eventually(t, func() bool {
		_, err := store.Load(background, gone)
		return err != nil
	}, 150*time.Second, 100*time.Millisecond)
	_, err = store.Load(background, kept)
	require.NoError(t, err, "the server removed a record within the margin")
}

func intsOf(t *testing.T, doc bson.Raw) string {
	var m map[string]int
	require.NoError(t, bson.Unmarshal(doc, &m))
	return string(must(bson.MarshalExtJSON(m, false, false)))
}

func TestProduction_Defaults(t *testing.T) {
	store := newMongo(t)
	a, v := newApp(t, newManager(t, store)), newVisitor(t)
	c := v.login(a, "ann").setCookie(host)
	require.Equal(t, "30 days", daysText(time.Duration(c.MaxAge)*time.Second), "the cookie's Max-Age")
	require.True(t, c.Secure)
	require.True(t, c.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)
	var doc struct{ Created, Expires, Deadline time.Time }
	require.NoError(t, store.Collection().FindOne(background, bson.D{{Key: "user", Value: "ann"}}).Decode(&doc))
	require.Equal(t, "14 days", daysText(doc.Expires.Sub(doc.Created)), "idle")
	require.Equal(t, "30 days", daysText(doc.Deadline.Sub(doc.Created)), "lifetime")

	none := newApp(t, newManager(t, store, session.WithSameSite(http.SameSiteNoneMode)))
	c = newVisitor(t).login(none, "ann").setCookie(host)
	require.Equal(t, http.SameSiteNoneMode, c.SameSite)
	require.True(t, c.Secure)
}

func daysText(d time.Duration) string {
	if days := d.Round(time.Second); days%(24*time.Hour) == 0 {
		return strings.TrimSuffix((days/24).String(), "h0m0s") + " days"
	}
	return d.String()
}

func TestProduction_TrustedProxy(t *testing.T) {
	log := new(logs)
	trusted := session.WithTrustedProxies(netip.MustParsePrefix("192.0.2.0/24"))
	m := newManager(t, memstore.New(), trusted, session.WithClientInfo(), log.option())
	ask := func(peer string, header ...string) (c *http.Cookie, ip string) {
		r := httptest.NewRequest("GET", "http://shop.example/", nil)
		r.RemoteAddr = peer
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s := session.FromContext(r.Context())
			s.SignIn("ann")
			require.NoError(t, s.Save(r.Context()))
			ip = s.Info().ClientIP
		})).ServeHTTP(w, r)
		return answer{Response: w.Result()}.setCookie(host), ip
	}
	c, ip := ask("192.0.2.7:1234", "X-Forwarded-Proto", "https", "X-Forwarded-For", "6.6.6.6, 203.0.113.9")
	require.True(t, c.Secure)
	require.Equal(t, "203.0.113.9", ip, "an address sent by the client comes first and does not count")
	require.Empty(t, log.String())
	c, ip = ask("198.51.100.1:1234", "X-Forwarded-Proto", "https", "X-Forwarded-For", "203.0.113.9")
	require.True(t, c.Secure)
	require.Equal(t, "198.51.100.1", ip, "headers from an untrusted peer do not count")
	require.Contains(t, log.String(), "looks like plain HTTP")
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	ask("198.51.100.1:1234")
	require.Equal(t, 1, strings.Count(log.String(), "\n"), "the warning is logged once")
}

func TestProduction_UnchangedSession(t *testing.T) {
	coll, count := counted(t)
	a, v := newApp(t, newManager(t, openMongo(t, coll, noSweep))), newVisitor(t)
	v.login(a, "ann")
	count.take()
	for range 5 {
		require.Equal(t, "ann", v.user(a))
	}
	require.Equal(t, "find find find find find", count.take())
}

func TestProduction_VisitorWithoutSession(t *testing.T) {
	coll, count := counted(t)
	store := openMongo(t, coll, noSweep)
	a := newApp(t, newManager(t, store))
	count.take()
	for range 20 {
		for _, touch := range []func(s *session.Session){
			func(*session.Session) {},
			func(s *session.Session) { color.Get(s); s.User(); s.ID() },
			color.Delete, (*session.Session).Clear, (*session.Session).Renew, (*session.Session).SignOut,
			func(s *session.Session) { color.Set(s, "red"); color.Delete(s) },
		} {
			res := request(newVisitor(t), a, touch)
			require.Equal(t, 200, res.StatusCode)
			require.Empty(t, res.Header["Set-Cookie"])
		}
	}
	require.Empty(t, count.take())
	require.Zero(t, documents(t, store))
}

func TestProduction_MissingConfiguration(t *testing.T) {
	_, err := mongostore.Open(background, "")
	require.ErrorContains(t, err, "MONGO_URI")
	_, err = session.New(memstore.New(), "")
	require.ErrorContains(t, err, "SESSION_SECRET")
}

func TestProduction_MemstorePanics(t *testing.T) {
	out, err := exec.Command("go", "run", "./memstore/testdata/program").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "panic: memstore:")
	require.Contains(t, string(out), "mongostore.Open")
}

// myStore is a store written by a user of the library.
type myStore struct{ session.Store }

func TestProduction_CustomStore(t *testing.T) {
	a, v := newApp(t, newManager(t, myStore{memstore.New()})), newVisitor(t)
	v.login(a, "ann")
	require.Equal(t, "ann", v.user(a))
}
