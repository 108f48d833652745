package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// device is a browser of the user.
type device struct {
	*http.Client
	t         *testing.T
	userAgent string
}

func (d *device) send(method, url string, form url.Values, header ...string) (status int, body string) {
	r, err := http.NewRequestWithContext(d.t.Context(), method, url, strings.NewReader(form.Encode()))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("User-Agent", d.userAgent)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := d.Do(r)
	require.NoError(d.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	return resp.StatusCode, string(text)
}

func TestDevices_SignOutOnAnotherDevice(t *testing.T) {
	sessions := memstore.NewManager(session.WithClientInfo())
	mux, err := handler(sessions)
	require.NoError(t, err)
	srv := httptest.NewTLSServer(sessions.Wrap(mux))
	defer srv.Close()
	account := srv.URL + "/account"
	signIn := func(userAgent string) *device {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		d := &device{&http.Client{Transport: srv.Client().Transport, Jar: jar}, t, userAgent}
		status, _ := d.send("POST", srv.URL+"/login", nil)
		require.Equal(t, http.StatusOK, status)
		return d
	}
	laptop := signIn("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	phone := signIn("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1")

	_, list := laptop.send("GET", account, nil)
	require.Contains(t, list, "Firefox")
	require.Contains(t, list, "Safari")
	_, list = laptop.send("GET", account, nil, "Accept-Language", "de-AT")
	require.Contains(t, list, "dieses Gerät")

	// The only button for one session is that of the other device.
	button := regexp.MustCompile(`<button name="([^"]+)" value="([0-9a-f-]{36})"`).FindStringSubmatch(list)
	require.NotNil(t, button, list)
	status, _ := laptop.send("POST", account, url.Values{button[1]: {button[2]}}, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status)
	status, _ = phone.send("GET", account, nil)
	require.Equal(t, http.StatusOK, status)

	status, list = laptop.send("POST", account, url.Values{button[1]: {button[2]}}) // and follows the redirect
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, list, "Safari")
	status, _ = phone.send("GET", account, nil)
	require.Equal(t, http.StatusForbidden, status)
}
