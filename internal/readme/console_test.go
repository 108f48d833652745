package readme_test

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/console"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/console.md

func roleOf(user string) string { return map[string]string{"olga": "admin", "sam": "support"}[user] }

func authorize(r *http.Request) (operator string, access console.Access) {
	user := session.FromContext(r.Context()).User()
	switch roleOf(user) {
	case "admin":
		return user, console.FullAccess
	case "support":
		return user, console.ReadOnly
	}
	return "", console.NoAccess
}

func mountConsole(ctx context.Context, mux *http.ServeMux, store *memstore.Store) (*session.Manager, error) {
	recorder := console.NewRecorder("") // named after the host
	sessions, err := session.New(store, secret,
		session.WithClientInfo(),
		session.WithObserver(recorder.Observe))
	if err != nil {
		return nil, err
	}
	admin, err := console.New(sessions, store, authorize, console.WithRecorder(recorder))
	if err != nil {
		return nil, err
	}
	mux.Handle("/admin/sessions/", sessions.Wrap(admin))
	go func() { _ = recorder.CountSessions(ctx, store, time.Minute) }()
	return sessions, nil
}

func TestMountConsole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := http.NewServeMux()
		sessions, err := mountConsole(t.Context(), mux, memstore.New())
		require.NoError(t, err)
		for user, want := range map[string][2]int{"olga": {200, 303}, "sam": {200, 403}, "ann": {403, 403}, "": {403, 403}} {
			memstore.Cookie(t, sessions, func(s *session.Session) { s.SignIn("ann") })
			infos, err := sessions.List(t.Context(), "ann")
			require.NoError(t, err)
			id := infos[0].ID
			for i, r := range []*http.Request{
				httptest.NewRequest("GET", "https://example.com/admin/sessions/user?name=ann", nil),
				httptest.NewRequest("POST", "https://example.com/admin/sessions/end?id="+id.String(), nil),
			} {
				r.PostForm = r.URL.Query()
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				if user != "" {
					r = memstore.WithSession(t, sessions, r, func(s *session.Session) { s.SignIn(user) })
				}
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				require.Equal(t, want[i], w.Code, user)
			}
			_, err = sessions.LoadID(t.Context(), id)
			require.Equal(t, want[1] == http.StatusSeeOther, err != nil, user)
		}
	})
}

// docs/how-to/manage-devices.md

var accountPage = template.Must(template.New("").Parse(`<!doctype html><title>Account</title>
<style>{{.Style}}</style><h1>Account</h1>{{.List}}`))

func mountDevices(mux *http.ServeMux, sessions *session.Manager) (http.Handler, error) {
	devices, err := console.NewDevices(sessions)
	if err != nil {
		return nil, err
	}
	mux.Handle("/account/devices", requireUser(devices.ServeHTTP))
	mux.HandleFunc("GET /account", requireUser(func(w http.ResponseWriter, r *http.Request) {
		list, err := devices.Fragment(r)
		if err != nil {
			http.Error(w, "Please try again.", session.HTTPStatus(err))
			return
		}
		accountPage.Execute(w, map[string]any{"List": list, "Style": template.CSS(console.DevicesStyle)})
	}))
	mux.Handle("POST /account", requireUser(devices.ServeHTTP))
	return sessions.Wrap(mux), nil
}

func germanDevices(sessions *session.Manager) (*console.Devices, error) {
	devices, err := console.NewDevices(sessions, console.WithTexts(func(*http.Request) console.Texts {
		return console.Texts{
			Lang:      "de",
			Title:     "Deine Geräte",
			This:      "Dieses Gerät",
			End:       "Abmelden",
			EndOthers: "Auf allen anderen Geräten abmelden",
			Device: func(browser, system string) string {
				if browser == "" || system == "" {
					return cmp.Or(browser, system, "Unbekanntes Gerät")
				}
				return browser + " unter " + system
			},
		}
	}))
	return devices, err
}

func TestMountDevices(t *testing.T) {
	sessions := memstore.NewManager()
	signIn := func(s *session.Session) { s.SignIn("ann") }
	app, err := mountDevices(http.NewServeMux(), sessions)
	require.NoError(t, err)
	cookie := memstore.Cookie(t, sessions, signIn)
	for _, path := range []string{"/account/devices", "/account"} {
		memstore.Cookie(t, sessions, signIn)
		r := httptest.NewRequest("GET", "https://example.com"+path, nil)
		r.AddCookie(cookie)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Body.String(), "Sign out on all other devices")
		require.Contains(t, w.Body.String(), console.DevicesStyle)

		w = httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest("GET", "https://example.com"+path, nil))
		require.Equal(t, "/login", w.Header().Get("Location"))

		r = httptest.NewRequest("POST", "https://example.com"+path+"?session-end=others", nil)
		r.PostForm = r.URL.Query()
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.AddCookie(cookie)
		w = httptest.NewRecorder()
		app.ServeHTTP(w, r)
		require.Equal(t, http.StatusSeeOther, w.Code)
		infos, err := sessions.List(t.Context(), "ann")
		require.NoError(t, err)
		require.Len(t, infos, 1)
	}
}

func TestGermanDevices(t *testing.T) {
	sessions := memstore.NewManager(session.WithClientInfo())
	devices, err := germanDevices(sessions)
	require.NoError(t, err)
	r := memstore.WithSession(t, sessions, httptest.NewRequest("GET", "https://example.com/", nil), func(s *session.Session) { s.SignIn("ann") })
	w := httptest.NewRecorder()
	sessions.Wrap(devices).ServeHTTP(w, r)
	require.Contains(t, w.Body.String(), "Deine Geräte")
	require.Contains(t, w.Body.String(), "Unbekanntes Gerät")
}
