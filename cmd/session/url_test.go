package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/cmd/session/internal/doctor"
	"github.com/holdfast-go/session/memstore"
)

// behindProxy serves an app behind a proxy that ends TLS. It returns the address of
// the proxy and a file with its certificate.
func behindProxy(t *testing.T, app http.Handler, change func(*http.Response) error) (base, certificate string) {
	t.Helper()
	inner := httptest.NewServer(app)
	t.Cleanup(inner.Close)
	target, err := url.Parse(inner.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Strict-Transport-Security", "max-age=31536000")
		if change != nil {
			return change(r)
		}
		return nil
	}
	outer := httptest.NewTLSServer(proxy)
	t.Cleanup(outer.Close)
	certificate = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: outer.Certificate().Raw}), 0o600))
	return outer.URL, certificate
}

// visited is an app whose pages start a session.
func visited(t *testing.T, opts ...session.Option) http.Handler {
	t.Helper()
	sessions, err := session.New(memstore.New(), secret, opts...)
	require.NoError(t, err)
	visits := session.Key[int]("visits")
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		visits.Set(s, visits.GetOr(s, 0)+1)
	})
	mux.HandleFunc("/static", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/renews", func(_ http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		visits.Set(s, 1)
		s.Renew()
	})
	return sessions.Wrap(mux)
}

// fetched runs doctor with a URL and returns the findings about it.
func fetched(t *testing.T, certificate string, args ...string) []doctor.Finding {
	t.Helper()
	_, by := examined(t, []string{"SSL_CERT_FILE=" + certificate}, args...)
	return by["url"]
}

func texts(list []doctor.Finding, status doctor.Status) (found []string) {
	for _, f := range list {
		if f.Status == status {
			found = append(found, f.Text)
		}
	}
	return found
}

func TestDoctorURL_GoodApp(t *testing.T) {
	for _, path := range []string{"/", "/renews"} {
		base, certificate := behindProxy(t, visited(t), nil)
		list := fetched(t, certificate, "--url", base+path+"?token=1")
		for _, f := range list {
			require.Equal(t, doctor.OK, f.Status, f.Text)
			require.NotContains(t, f.Text, "token=1")
		}
		require.Contains(t, list[1].Text, "the cookie __Host-session is Secure, HttpOnly, SameSite=Lax, Path=/")
	}
}

func TestDoctorURL_NoCookie(t *testing.T) {
	base, certificate := behindProxy(t, visited(t), nil)
	list := fetched(t, certificate, "--url", base+"/static")
	require.Equal(t, []doctor.Status{doctor.OK, doctor.Skipped}, statuses(list))
	require.Contains(t, list[1].Text, "sets no cookie")
	require.Len(t, fetched(t, certificate, "--url", base, "--cookie", "other"), 2)
}

func TestDoctorURL_NameOfTheCookie(t *testing.T) {
	base, certificate := behindProxy(t, visited(t, session.WithCookieName("sid")), nil)
	require.Empty(t, texts(fetched(t, certificate, "--url", base, "--cookie", "sid"), doctor.Failure))
}

func TestDoctorURL_Problems(t *testing.T) {
	setCookie := func(from, to string) func(*http.Response) error {
		return func(r *http.Response) error {
			for i, line := range r.Header["Set-Cookie"] {
				r.Header["Set-Cookie"][i] = strings.Replace(line, from, to, 1)
			}
			return nil
		}
	}
	var once sync.Once
	var stored http.Header
	for name, test := range map[string]struct {
		opts   []session.Option
		change func(*http.Response) error
		path   string
		want   []string
	}{
		"HTTP allowed":      {opts: []session.Option{session.DangerouslyAllowHTTP()}, want: []string{"the cookie session is not Secure"}},
		"HttpOnly removed":  {change: setCookie("; HttpOnly", ""), want: []string{"the cookie __Host-session is not HttpOnly, so scripts can read it"}},
		"SameSite removed":  {change: setCookie("; SameSite=Lax", ""), want: []string{"the cookie __Host-session has no SameSite"}},
		"Path changed":      {change: setCookie("; Path=/", "; Path=/app"), want: []string{`the cookie __Host-session has Domain "" and Path "/app"`}},
		"an error of 5xx":   {path: "/broken", want: []string{"/broken responds with 502 Bad Gateway"}},
		"another visitor's": {change: setCookie("__Host-session=", "__Host-session=x"), want: []string{"the app does not know its own cookie, and sends another one"}},
		"cacheable": {
			change: func(r *http.Response) error {
				r.Header.Set("Cache-Control", "public, max-age=60")
				r.Header.Del("Vary")
				return nil
			},
			want: []string{
				`the response with the cookie has Cache-Control "public, max-age=60", so a shared cache may store it`,
				"the response with the cookie has no Vary: Cookie, so a browser may show it after a sign-out",
				`the response to a request with the cookie has Cache-Control "public, max-age=60", so a shared cache may store it`,
				"the response to a request with the cookie has no Vary: Cookie, so a browser may show it after a sign-out",
			},
		},
		"a cache": {
			change: func(r *http.Response) error {
				once.Do(func() { stored = r.Header.Clone() })
				r.Header = stored.Clone()
				r.Header.Set("Age", "7")
				return nil
			},
			want: []string{
				"the response with the cookie came from a cache 7 seconds old",
				"two visitors received the same cookie, so a cache hands out sessions",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			base, certificate := behindProxy(t, visited(t, test.opts...), test.change)
			list := fetched(t, certificate, "--url", base+test.path)
			got := texts(list, doctor.Failure)
			require.Len(t, got, len(test.want), "%v", got)
			for i := range got {
				require.Contains(t, got[i], test.want[i])
			}
		})
	}
}

func TestDoctorURL_UnknownCertificate(t *testing.T) {
	base, _ := behindProxy(t, visited(t), nil)
	list := fetched(t, os.DevNull, "--url", strings.Replace(base, "https://", "https://ann:passw0rd@", 1)+"/?token=1")
	require.Equal(t, []doctor.Status{doctor.Failure}, statuses(list))
	require.Contains(t, list[0].Text, "certificate")
	require.NotContains(t, list[0].Text, "passw0rd")
	require.NotContains(t, list[0].Text, "token=1")
}

// The app alone, without the proxy. A browser would drop the cookie.
func TestDoctorURL_PlainHTTP(t *testing.T) {
	app := httptest.NewServer(visited(t))
	defer app.Close()
	list := fetched(t, os.DevNull, "--url", app.URL)
	require.Empty(t, texts(list, doctor.Failure))
	require.Equal(t, []string{"a browser ignores the Secure cookie __Host-session over plain HTTP"}, texts(list, doctor.Warning))
}
