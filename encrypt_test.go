package session_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

const (
	secondSecret = "another secret, which is at least 32 bytes"
	note         = session.Key[string]("note")
	blob         = session.Key[[]byte]("blob")
)

// vault is a collection on the server, shared by several managers.
type vault struct {
	t testing.TB
	*faulty
	mongo *mongostore.Store
}

func newVault(t testing.TB) *vault {
	store := newMongo(t)
	return &vault{t, &faulty{Store: store}, store}
}

// app serves with a manager of its own, like another deploy.
func (v *vault) app(opts ...session.Option) *app { return newApp(v.t, newManager(v.t, v, opts...)) }

// appOf is like app, but uses another secret.
func (v *vault) appOf(secret string, log *logs, opts ...session.Option) *app {
	m, err := session.New(v, secret, append(opts, log.option())...)
	require.NoError(v.t, err)
	return newApp(v.t, m)
}

// raw returns all documents as stored by the server.
func (v *vault) raw() []byte {
	v.t.Helper()
	cur, err := v.mongo.Collection().Find(background, bson.D{})
	require.NoError(v.t, err)
	var docs []bson.Raw
	require.NoError(v.t, cur.All(background, &docs))
	return bytes.Join(func() (all [][]byte) {
		for _, d := range docs {
			all = append(all, d)
		}
		return all
	}(), nil)
}

// plain counts the unencrypted values of the only session.
func (v *vault) plain() (n int) {
	v.t.Helper()
	for _, value := range v.values() {
		if !bytes.HasPrefix(value.Data, []byte{0xFF, 1}) {
			n++
		}
	}
	return n
}

func (v *vault) id() session.ID {
	v.t.Helper()
	doc, err := v.mongo.Collection().FindOne(background, bson.D{{Key: "verifier", Value: bson.D{{Key: "$exists", Value: true}}}}).Raw()
	require.NoError(v.t, err)
	_, id := doc.Lookup("_id").Binary()
	return session.ID(id)
}

func (v *vault) values() map[string]session.Value {
	v.t.Helper()
	return must(v.mongo.Load(background, v.id())).Values
}

// Every path to the store encrypts. The raw documents contain no part of a
// value.
func TestWithEncryption_EveryWrite(t *testing.T) {
	const text = "plain text in no document"
	write := func(s *session.Session) { note.Set(s, text) }
	for name, do := range map[string]func(t *testing.T, st *vault, a *app, v *visitor){
		"first insert": func(_ *testing.T, _ *vault, a *app, v *visitor) { request(v, a, write) },
		"insert whose reply is lost": func(_ *testing.T, st *vault, a *app, v *visitor) {
			st.once(op("Insert"), lost)
			request(v, a, write)
		},
		"save": func(_ *testing.T, _ *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			request(v, a, write)
		},
		"save whose reply is lost": func(_ *testing.T, st *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { visits.Set(s, 1); note.Set(s, "before") })
			st.once(op("Update"), notApplied)
			request(v, a, write)
		},
		"save in the request": func(t *testing.T, _ *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { write(s); require.NoError(t, s.Save(background)) })
		},
		"change after the first byte": func(_ *testing.T, _ *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			v.do(a, func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				_, _ = w.Write([]byte("begun"))
				write(s)
			})
		},
		"update": func(t *testing.T, st *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { note.Set(s, "before") })
			request(v, a, func(s *session.Session) {
				st.once(op("Update"), func(c call) error { // another request comes first
					other := must(a.m.LoadID(background, c.id))
					note.Set(other, "between")
					require.NoError(t, other.Save(background))
					return c.do()
				})
				got, err := note.Update(background, s, func(was string) string {
					return strings.TrimPrefix(was, "between") + text
				})
				require.NoError(t, err)
				require.Equal(t, text, got)
			})
		},
		"update whose reply is lost": func(t *testing.T, st *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { note.Set(s, "before") })
			request(v, a, func(s *session.Session) {
				st.once(op("Update"), lost)
				got, err := note.Update(background, s, func(string) string { return text })
				require.NoError(t, err)
				require.Equal(t, text, got)
			})
		},
		"update of a pending value": func(t *testing.T, _ *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) {
				note.Set(s, "before")
				_, err := note.Update(background, s, func(string) string { return text })
				require.NoError(t, err)
			})
		},
		"renewal": func(_ *testing.T, _ *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			request(v, a, func(s *session.Session) { s.Renew(); write(s) })
		},
		"joined sign-in": func(t *testing.T, _ *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			res := bare(t).do(a, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				v.login(a, "ann")
				s.SignIn("ann")
				write(s)
			}, "Cookie", v.cookies(a))
			require.Equal(t, 200, res.StatusCode)
		},
		"sign-in of another user": func(_ *testing.T, _ *vault, a *app, v *visitor) {
			v.login(a, "ann")
			request(v, a, func(s *session.Session) { s.SignIn("bob"); write(s) })
		},
		"clear, then set": func(_ *testing.T, _ *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			request(v, a, func(s *session.Session) { s.Clear(); write(s) })
		},
		"job": func(t *testing.T, st *vault, a *app, v *visitor) {
			request(v, a, func(s *session.Session) { visits.Set(s, 1) })
			s, err := a.m.LoadID(background, st.id())
			require.NoError(t, err)
			write(s)
			require.NoError(t, s.Save(background))
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := newVault(t)
			a, v := st.app(session.WithEncryption()), newVisitor(t)
			do(t, st, a, v)
			require.NotContains(t, string(st.raw()), "plain text")
			require.Zero(t, st.plain())
			request(v, a, func(s *session.Session) { require.Equal(t, text, note.GetOr(s, "")) })
		})
	}
}

func TestWithEncryption_SwitchedOnAndOff(t *testing.T) {
	st := newVault(t)
	off, on, v := st.app(), st.app(session.WithEncryption()), newVisitor(t)
	see := func(a *app) (values string) {
		request(v, a, func(s *session.Session) {
			values = fmt.Sprint(visits.GetOr(s, 0), color.GetOr(s, ""), blob.GetOr(s, nil))
		})
		return values
	}
	request(v, off, func(s *session.Session) { visits.Set(s, 1); color.Set(s, "red"); blob.Set(s, []byte{0xFF, 0}) })
	require.Equal(t, "1red[255 0]", see(on))
	request(v, on, func(s *session.Session) { color.Set(s, "blue") })
	require.Equal(t, 2, st.plain(), "each value is encrypted at its next write")
	require.Equal(t, "1blue[255 0]", see(on))
	require.Equal(t, "1blue[255 0]", see(off))
	v.login(on, "ann")
	require.Zero(t, st.plain(), "a sign-in encrypts all values")
	require.Equal(t, "1blue[255 0]", see(on))
	require.Equal(t, "1blue[255 0]", see(off))
	request(v, off, func(s *session.Session) { color.Set(s, "green") })
	require.Equal(t, 1, st.plain())
	v.login(off, "ann")
	require.Equal(t, 1, st.plain())
	require.Equal(t, "1green[255 0]", see(on))
}

// The secret is rotated by three deploys, and visitors come between them.
func TestWithEncryption_RotationOfTheSecret(t *testing.T) {
	st, log := newVault(t), new(logs)
	deploys := []*app{
		st.appOf(secret, log, session.WithEncryption(), session.WithAcceptedSecrets(secondSecret)),
		st.appOf(secondSecret, log, session.WithEncryption(), session.WithAcceptedSecrets(secret)),
		st.appOf(secondSecret, log, session.WithEncryption()),
	}
	v := newVisitor(t)
	request(v, deploys[0], func(s *session.Session) { s.SignIn("ann"); color.Set(s, "red"); visits.Set(s, 1) })
	request(v, deploys[1], func(s *session.Session) {
		require.Equal(t, "red", color.GetOr(s, ""))
		color.Set(s, "blue")
	})
	request(v, deploys[0], func(s *session.Session) { // the old version is still running
		require.Equal(t, "blue", color.GetOr(s, ""))
		shape.Set(s, "round")
	})
	v.login(deploys[1], "ann")
	request(v, deploys[2], func(s *session.Session) {
		require.Equal(t, "ann 1 blue round", fmt.Sprint(s.User(), " ", visits.GetOr(s, 0), " ", color.GetOr(s, ""), " ", shape.GetOr(s, "")))
	})
	require.Empty(t, log.String())
}

// A sign-in encrypts a value again only if no other request has changed it.
func TestWithEncryption_SignInBesideAWrite(t *testing.T) {
	for _, lostReply := range []bool{false, true} {
		t.Run(fmt.Sprint(lostReply), func(t *testing.T) {
			st := newVault(t)
			off, on, v := st.app(), st.app(session.WithEncryption()), newVisitor(t)
			request(v, off, func(s *session.Session) { visits.Set(s, 1); color.Set(s, "red") })
			st.once(op("Update"), func(c call) error {
				other := must(off.m.LoadID(background, c.id))
				color.Set(other, "blue")
				require.NoError(t, other.Save(background))
				if lostReply {
					st.once(op("Update"), lost)
				}
				return c.do()
			})
			v.login(on, "ann")
			user, n, col := v.see(on)
			require.Equal(t, "ann 1 blue", fmt.Sprint(user, " ", n, " ", col))
			require.Equal(t, 1, st.plain(), "the value of the other request is unchanged")
		})
	}
}

// A deploy without the secret keeps unreadable values.
func TestWithEncryption_WithoutTheSecret(t *testing.T) {
	for name, future := range map[string]bool{"other secret": false, "form of a later version": true} {
		t.Run(name, func(t *testing.T) {
			st, log := newVault(t), new(logs)
			right := st.appOf(secret, log, session.WithEncryption())
			v := newVisitor(t)
			request(v, right, func(s *session.Session) { color.Set(s, "red"); visits.Set(s, 1); note.Set(s, "keep") })
			id := st.id()
			wrong := newManagerOf(t, st, secondSecret)
			was := st.values()
			if future {
				wrong = right.m
				err := st.Update(background, id, &session.Change{Set: map[string]session.Value{
					"color": {Data: append([]byte{0xFF, 7}, was["color"].Data[2:]...), Version: 5},
				}})
				require.NoError(t, err)
			}
			kept := st.values()["color"]
			s := must(wrong.LoadID(background, id))
			_, ok := color.Get(s)
			require.False(t, ok)
			shape.Set(s, "round")
			require.NoError(t, s.Save(background), "other keys work, and reading is no error")
			_, err := color.Update(background, s, func(string) string { return "" })
			require.ErrorContains(t, err, "WithAcceptedSecrets")
			require.Equal(t, http.StatusInternalServerError, session.HTTPStatus(err))
			color.Set(s, "blue")
			require.ErrorContains(t, s.Save(background), "WithAcceptedSecrets")
			s.Discard()
			require.Equal(t, kept, st.values()["color"])
			note.Delete(s)
			require.NoError(t, s.Save(background))
			if future {
				color.Delete(s)
				require.NoError(t, s.Save(background))
				require.NotContains(t, st.values(), "color")
				return
			}
			request(v, right, func(s *session.Session) { require.Equal(t, "red", color.GetOr(s, "")) })
		})
	}
}

func newManagerOf(t testing.TB, store session.Store, secret string) *session.Manager {
	m, err := session.New(store, secret, new(logs).option())
	require.NoError(t, err)
	return m
}

// A value that was moved, exchanged or changed is treated as absent. The log
// does not contain it.
func TestWithEncryption_Forgery(t *testing.T) {
	st, log := newVault(t), new(logs)
	a := st.appOf(secret, log, session.WithEncryption())
	v := newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red"); shape.Set(s, "round") })
	id, values := st.id(), st.values()
	otherApp := newApp(t, newManager(t, memstore.New(), session.WithEncryption()))
	var foreign session.Value
	request(newVisitor(t), otherApp, func(s *session.Session) {
		color.Set(s, "red")
		require.NoError(t, s.Save(background))
	})
	foreignStore := memstore.New()
	fm := newManager(t, foreignStore, session.WithEncryption())
	fs := must(fm.Load(background, nil))
	color.Set(fs, "red")
	require.NoError(t, fs.Save(background))
	foreign = must(foreignStore.Load(background, fs.ID())).Values["color"]

	forged := map[string][]byte{"of another key": values["shape"].Data, "of another session": foreign.Data}
	for bit := range len(values["color"].Data) * 8 {
		if bit/8 < 2 || bit/8 >= 2 && bit/8 < 6 {
			continue // another form or secret: TestWithEncryption_WithoutTheSecret
		}
		data := bytes.Clone(values["color"].Data)
		data[bit/8] ^= 1 << (bit % 8)
		forged[fmt.Sprint("bit ", bit)] = data
	}
	for name, data := range forged {
		require.NoError(t, st.Update(background, id, &session.Change{Set: map[string]session.Value{"color": {Data: data, Version: 5}}}))
		request(v, a, func(s *session.Session) {
			_, ok := color.Get(s)
			require.False(t, ok, name)
			require.Equal(t, "round", shape.GetOr(s, ""))
		})
	}
	require.Contains(t, log.String(), "authentication")
	require.Contains(t, log.String(), "key=color")
	require.Contains(t, log.String(), id.String())
	require.NotRegexp(t, `\bred\b`, log.String())
	request(v, a, func(s *session.Session) { color.Set(s, "blue") })
	_, _, col := v.see(a)
	require.Equal(t, "blue", col, "a damaged value may be replaced")
}

// The format is checked with independent code.
func TestWithEncryption_Format(t *testing.T) {
	st := newVault(t)
	a, v := st.app(session.WithEncryption()), newVisitor(t)
	request(v, a, func(s *session.Session) { color.Set(s, "red"); shape.Set(s, "red") })
	id, data := st.id(), st.values()["color"].Data
	require.Len(t, data, len(`"red"`)+34)
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "holdfast session: encrypt"+string(id[:]), 32)
	require.NoError(t, err)
	keyID, err := hkdf.Key(sha256.New, []byte(secret), nil, "holdfast session: encryption id", 4)
	require.NoError(t, err)
	require.Equal(t, keyID, data[2:6])
	gcm := must(cipher.NewGCM(must(aes.NewCipher(key))))
	plain, err := gcm.Open(nil, data[6:18], data[18:], append(bytes.Clone(data[:6]), "color"...))
	require.NoError(t, err)
	require.Equal(t, `"red"`, string(plain))
	require.NotEqual(t, data[6:18], st.values()["shape"].Data[6:18], "a nonce is not used twice")
}

func TestWithEncryption_CountsTowardsTheMaximumSize(t *testing.T) {
	limit := session.WithMaxSize(len("note") + 10 + 33)
	res := request(newVisitor(t), newApp(t, newManager(t, memstore.New(), limit, session.WithEncryption())), func(s *session.Session) {
		note.Set(s, "12345678")
	})
	require.Equal(t, http.StatusInternalServerError, res.StatusCode)
	res = request(newVisitor(t), newApp(t, newManager(t, memstore.New(), limit)), func(s *session.Session) { note.Set(s, "12345678") })
	require.Equal(t, 200, res.StatusCode)
}
