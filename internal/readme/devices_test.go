package readme_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/manage-devices.md

type device struct {
	session.Info
	Current bool
}

func devices(sessions *session.Manager, r *http.Request) (list []device, err error) {
	s := session.FromContext(r.Context())
	infos, err := sessions.List(r.Context(), s.User())
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		list = append(list, device{info, info.ID == s.ID()})
	}
	return list, nil
}

func endDevice(sessions *session.Manager, w http.ResponseWriter, r *http.Request) {
	user := session.FromContext(r.Context()).User()
	id, err := session.ParseID(r.PostFormValue("id"))
	if err != nil {
		http.Error(w, "No such device.", http.StatusBadRequest)
		return
	}
	err = sessions.Revoke(r.Context(), user, id)
	if err != nil && !errors.Is(err, session.ErrNotFound) { // a session that has ended already is fine
		http.Error(w, "Please try again.", session.HTTPStatus(err))
		return
	}
	http.Redirect(w, r, "/devices", http.StatusSeeOther)
}

func changePassword(w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	// Store the new password first.
	if _, err := s.RevokeOthers(r.Context()); err != nil {
		http.Error(w, "Some devices may still be signed in. Please try again.", session.HTTPStatus(err))
		return
	}
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

func signOutEverywhere(sessions *session.Manager, w http.ResponseWriter, r *http.Request) {
	s := session.FromContext(r.Context())
	if _, err := sessions.RevokeAll(r.Context(), s.User()); err != nil {
		http.Error(w, "Some devices may still be signed in. Please try again.", session.HTTPStatus(err))
		return
	}
	s.SignOut() // the session of this request has ended too
	flash.Set(s, "You have signed out on all devices.")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func TestSignOutEverywhere(t *testing.T) {
	sessions := memstore.NewManager()
	here, there := do(sessions, nil, login).Cookies(), do(sessions, nil, login).Cookies()
	response := do(sessions, here, func(w http.ResponseWriter, r *http.Request) { signOutEverywhere(sessions, w, r) })
	require.Equal(t, http.StatusSeeOther, response.StatusCode)
	for _, cookies := range [][]*http.Cookie{here, there} {
		do(sessions, cookies, func(_ http.ResponseWriter, r *http.Request) {
			require.Empty(t, session.FromContext(r.Context()).User())
		})
	}
	do(sessions, response.Cookies(), func(_ http.ResponseWriter, r *http.Request) {
		require.Equal(t, "You have signed out on all devices.", flash.GetOr(session.FromContext(r.Context()), ""))
	})
}

func TestDevices(t *testing.T) { synctest.Test(t, testDevices) }

func testDevices(t *testing.T) {
	store := memstore.New()
	sessions, err := session.New(store, secret,
		session.WithMaxPerUser(5),
		session.WithClientInfo())
	require.NoError(t, err)
	var cookies []*http.Cookie
	for range 7 {
		cookies = do(sessions, nil, login).Cookies()
		time.Sleep(time.Second)
	}
	var list []device
	do(sessions, cookies, func(_ http.ResponseWriter, r *http.Request) {
		list, err = devices(sessions, r)
		require.NoError(t, err)
	})
	require.Len(t, list, 5, "a sign-in ends those beyond the maximum")
	current, other := 0, session.ID{}
	for _, d := range list {
		require.Equal(t, "192.0.2.1", d.ClientIP)
		if d.Current {
			current++
		} else {
			other = d.ID
		}
	}
	require.Equal(t, 1, current)

	for range 2 { // the second time it has ended already
		r := httptest.NewRequest("POST", "https://example.com/devices?id="+other.String(), nil)
		r.AddCookie(cookies[0])
		r.PostForm = r.URL.Query()
		w := httptest.NewRecorder()
		sessions.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { endDevice(sessions, w, r) })).ServeHTTP(w, r)
		require.Equal(t, http.StatusSeeOther, w.Code)
	}
	infos, err := sessions.List(t.Context(), "ann")
	require.NoError(t, err)
	require.Len(t, infos, 4)

	require.Equal(t, http.StatusSeeOther, do(sessions, cookies, changePassword).StatusCode)
	infos, err = sessions.List(t.Context(), "ann")
	require.NoError(t, err)
	require.Len(t, infos, 1)

	ended, err := sessions.RevokeAll(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, 1, ended)
}
