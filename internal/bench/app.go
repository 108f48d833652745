package main

import (
	"context"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// app serves the same few pages with one of the libraries:
//
//	/cart    starts a session that holds only the ten-item cart
//	/login   starts one with a user, a small key and the cart
//	/read    reads the small key
//	/write   writes the small key
//	/set     writes the key in ?key=
//	/keys    counts the keys that /set has written
//
// An app runs in its own process, so its CPU time is separate from that of the
// server.
type app func(ctx context.Context, db *mongo.Database) (http.Handler, error)

var apps = map[string]app{"driver": driverApp, "session": sessionApp, "scs": scsApp}

const (
	envURI      = "BENCH_URI"
	envDatabase = "BENCH_DATABASE"
	envCount    = "BENCH_COUNT" // if 1, the commands are counted
)

func serveApp(name string, stdin io.Reader, stdout io.Writer) error {
	ctx := context.Background()
	if app, ok := redisApps[name]; ok {
		client := redis.NewClient(&redis.Options{Addr: os.Getenv(envURI)})
		defer client.Close()
		h, err := app(ctx, client)
		if err != nil {
			return err
		}
		return serveHandler(h, stdin, stdout)
	}
	opts := options.Client().ApplyURI(os.Getenv(envURI))
	var commands atomic.Int64
	if os.Getenv(envCount) == "1" {
		opts.SetMonitor(&event.CommandMonitor{Started: func(context.Context, *event.CommandStartedEvent) { commands.Add(1) }})
	}
	client, err := mongo.Connect(opts)
	if err != nil {
		return err
	}
	defer client.Disconnect(ctx)
	h, err := apps[name](ctx, client.Database(os.Getenv(envDatabase)))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("/commands", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, commands.Load()) })
	return serveHandler(mux, stdin, stdout)
}

// serveHandler serves until stdin closes.
func serveHandler(h http.Handler, stdin io.Reader, stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		srv.Close()
	}()
	fmt.Fprintf(stdout, "http://%s\n", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pages returns the app for a session library.
func pages(do func(path string, w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(r.URL.Path, w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

var errNoSession = errors.New("no session")

func newName() string { return strconv.FormatInt(time.Now().UnixNano(), 36) }

func sessionApp(ctx context.Context, db *mongo.Database) (http.Handler, error) {
	store, err := mongostore.OpenCollection(ctx, db.Collection("http_sessions"), storeOptions()...)
	if err != nil {
		return nil, err
	}
	return sessionPages(store)
}

// sessionPages returns the app for a store of this library.
func sessionPages(store session.Store) (http.Handler, error) {
	// The timeout is long, because the other libraries have no timeout and
	// would wait.
	m, err := session.New(store, secret, session.WithStoreTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
	return m.Wrap(pages(func(path string, w http.ResponseWriter, r *http.Request) error {
		s := session.FromContext(r.Context())
		switch path {
		case "/login":
			s.SignIn("ada")
			small.Set(s, smallValue)
			cart.Set(s, items)
		case "/cart":
			cart.Set(s, items)
		case "/read":
			if _, ok := small.Get(s); !ok {
				return errNoSession
			}
		case "/write":
			small.Set(s, newName())
		case "/set":
			session.Key[string](r.URL.Query().Get("key")).Set(s, "yes")
		case "/keys":
			n := 0
			for i := range overlapping {
				if _, ok := session.Key[string](fmt.Sprint("key", i)).Get(s); ok {
					n++
				}
			}
			_, err := fmt.Fprint(w, n)
			return err
		}
		_, err := w.Write(answer)
		return err
	})), nil
}

// storeOptions returns the options to turn off the sweep on a server without
// TTL indexes.
func storeOptions() []mongostore.Option {
	return []mongostore.Option{mongostore.WithExpiry(mongostore.ExpiryTTL)}
}

// driverApp is the lower bound: one command by _id without a session. The
// cookie holds the _id itself.
func driverApp(ctx context.Context, db *mongo.Database) (http.Handler, error) {
	store, err := mongostore.OpenCollection(ctx, db.Collection("http_sessions"), storeOptions()...)
	if err != nil {
		return nil, err
	}
	coll := store.Collection()
	return pages(func(path string, w http.ResponseWriter, r *http.Request) error {
		switch path {
		case "/login", "/cart":
			if err := newDriverSession(w, r, store); err != nil {
				return err
			}
		case "/read":
			filter, err := byCookie(r)
			if err != nil {
				return err
			}
			raw, err := coll.FindOne(r.Context(), filter).Raw()
			if err != nil {
				return err
			}
			if _, ok := raw.Lookup("data", smallName, "v").StringValueOK(); !ok {
				return errNoSession
			}
		case "/write":
			filter, err := byCookie(r)
			if err != nil {
				return err
			}
			res, err := coll.UpdateOne(r.Context(), filter, bson.D{{Key: "$set", Value: bson.D{{Key: "data." + smallName + ".v", Value: newName()}}}})
			if err != nil || res.MatchedCount != 1 {
				return errors.Join(err, errNoSession)
			}
		}
		_, err := w.Write(answer)
		return err
	}), nil
}

func byCookie(r *http.Request) (bson.Raw, error) {
	id, err := cookieID(r)
	if err != nil {
		return nil, err
	}
	return bson.Marshal(bson.D{{Key: "_id", Value: bson.Binary{Subtype: 4, Data: id[:]}}})
}

// cookieID returns the session ID in the cookie of the lower bounds.
func cookieID(r *http.Request) (session.ID, error) {
	c, err := r.Cookie("id")
	if err != nil {
		return session.ID{}, err
	}
	id, err := hex.DecodeString(c.Value)
	if err != nil || len(id) != len(session.ID{}) {
		return session.ID{}, errNoSession
	}
	return session.ID(id), nil
}

// newDriverSession stores a session of the lower bounds and sets its cookie.
func newDriverSession(w http.ResponseWriter, r *http.Request, store session.Store) error {
	id := randomID()
	if err := store.Insert(r.Context(), newRecord(id, "ada")); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: "id", Value: hex.EncodeToString(id[:])})
	return nil
}

func scsApp(_ context.Context, db *mongo.Database) (http.Handler, error) {
	return scsPages(thinStore{db.Collection("scs_sessions")}), nil
}

// scsPages returns the app for a store of scs.
func scsPages(store scs.Store) http.Handler {
	gob.Register([]item{})
	m := scs.New()
	m.Store = store
	m.ErrorFunc = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	return m.LoadAndSave(pages(func(path string, w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		switch path {
		case "/login":
			if err := m.RenewToken(ctx); err != nil {
				return err
			}
			m.Put(ctx, "user", "ada")
			m.Put(ctx, smallName, smallValue)
			m.Put(ctx, cartName, items)
		case "/cart":
			m.Put(ctx, cartName, items)
		case "/read":
			if !m.Exists(ctx, smallName) {
				return errNoSession
			}
		case "/write":
			m.Put(ctx, smallName, newName())
		case "/set":
			m.Put(ctx, r.URL.Query().Get("key"), "yes")
		case "/keys":
			n := 0
			for _, k := range m.Keys(ctx) {
				if strings.HasPrefix(k, "key") {
					n++
				}
			}
			_, err := fmt.Fprint(w, n)
			return err
		}
		_, err := w.Write(answer)
		return err
	}))
}

// thinStore is the smallest MongoDB store for scs. The token is the _id.
type thinStore struct{ coll *mongo.Collection }

type thinDocument struct {
	Token  string    `bson:"_id"`
	Data   []byte    `bson:"data"`
	Expiry time.Time `bson:"expiry"`
}

func (s thinStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	var d thinDocument
	err := s.coll.FindOne(ctx, bson.D{{Key: "_id", Value: token}}).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, false, nil
	}
	return d.Data, err == nil && time.Now().Before(d.Expiry), err
}

func (s thinStore) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	_, err := s.coll.ReplaceOne(ctx, bson.D{{Key: "_id", Value: token}}, thinDocument{token, b, expiry}, options.Replace().SetUpsert(true))
	return err
}

func (s thinStore) DeleteCtx(ctx context.Context, token string) error {
	_, err := s.coll.DeleteOne(ctx, bson.D{{Key: "_id", Value: token}})
	return err
}

func (s thinStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

func (s thinStore) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}

func (s thinStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
