package session_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// clientIP returns the address stored by a sign-in.
func clientIP(t *testing.T, peer string, header []string, opts ...session.Option) string {
	t.Helper()
	opts = append(opts, session.WithClientInfo(), session.WithTrustedProxies(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")))
	m := newManager(t, memstore.New(), opts...)
	r := httptest.NewRequest("GET", "http://shop.example/", nil)
	r.RemoteAddr = peer
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		session.FromContext(r.Context()).SignIn("ann")
	})).ServeHTTP(httptest.NewRecorder(), r)
	infos := must(m.List(background, "ann"))
	require.Len(t, infos, 1)
	return infos[0].ClientIP
}

// Proxies append to one header and pass the others through. If several headers
// counted, a client could choose its address.
func TestClientIP_OneHeaderCounts(t *testing.T) {
	all := []string{"X-Forwarded-For", "203.0.113.1", "Forwarded", "for=203.0.113.2", "X-Real-Ip", "203.0.113.3"}
	for name, c := range map[string]struct {
		header []string
		opts   []session.Option
		want   string
	}{
		"by default":            {all, nil, "203.0.113.1"},
		"X-Forwarded-For":       {all, []session.Option{session.WithForwardedHeader("X-Forwarded-For")}, "203.0.113.1"},
		"Forwarded":             {all, []session.Option{session.WithForwardedHeader("forwarded")}, "203.0.113.2"},
		"X-Real-IP":             {all, []session.Option{session.WithForwardedHeader("X-Real-IP")}, "203.0.113.3"},
		"only Forwarded is set": {all[2:4], nil, "192.0.2.7"},
		"the chosen is absent":  {all[:2], []session.Option{session.WithForwardedHeader("Forwarded")}, "192.0.2.7"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, clientIP(t, "192.0.2.7:1234", c.header, c.opts...))
		})
	}
}

func TestClientIP_Hops(t *testing.T) {
	for name, c := range map[string]struct{ value, xff, forwarded string }{
		"IPv4":                       {"203.0.113.9", "203.0.113.9", "203.0.113.9"},
		"with a port":                {"203.0.113.9:443", "203.0.113.9", "203.0.113.9"},
		"IPv6":                       {"2001:db8::1", "2001:db8::1", "2001:db8::1"},
		"IPv6 in brackets":           {"[2001:db8::1]", "2001:db8::1", "2001:db8::1"},
		"IPv6 with a port":           {"[2001:db8::1]:443", "2001:db8::1", "2001:db8::1"},
		"IPv4 in IPv6":               {"::ffff:203.0.113.9", "203.0.113.9", "203.0.113.9"},
		"a zone":                     {"2001:db8::1%eth0", "2001:db8::1", "2001:db8::1"},
		"a long zone":                {"2001:db8::1%" + strings.Repeat("z", 5000), "192.0.2.7", "192.0.2.7"},
		"a zone of invalid UTF-8":    {"2001:db8::1%\xff", "2001:db8::1", "2001:db8::1"},
		"half a bracket":             {"[203.0.113.9", "192.0.2.7", "192.0.2.7"},
		"brackets the wrong way":     {"]203.0.113.9[", "192.0.2.7", "192.0.2.7"},
		"a name":                     {"unknown", "192.0.2.7", "192.0.2.7"},
		"nothing":                    {"", "192.0.2.7", "192.0.2.7"},
		"trusted proxies before":     {"203.0.113.9, 192.0.2.8, 192.0.2.9", "203.0.113.9", ""},
		"another client's before":    {"6.6.6.6, 203.0.113.9", "203.0.113.9", ""},
		"a link-local proxy":         {"203.0.113.9, fe80::1%eth0", "203.0.113.9", ""},
		"more hops than any network": {"203.0.113.9" + strings.Repeat(", 192.0.2.8", 10_000), "192.0.2.8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.xff, clientIP(t, "192.0.2.7:1234", []string{"X-Forwarded-For", c.value}))
			if c.forwarded != "" {
				header := []string{"Forwarded", `proto=https;For="` + c.value + `"`}
				require.Equal(t, c.forwarded, clientIP(t, "192.0.2.7:1234", header, session.WithForwardedHeader("Forwarded")))
			}
		})
	}
	two := []string{"X-Forwarded-For", "203.0.113.9", "X-Forwarded-For", "192.0.2.8"}
	require.Equal(t, "203.0.113.9", clientIP(t, "192.0.2.7:1234", two), "header fields of one name form one list")
	require.Equal(t, "203.0.113.9", clientIP(t, "[fe80::1%eth0]:1234", two), "a link-local peer is inside a trusted prefix")
	require.Equal(t, "2001:db8::1", clientIP(t, "[2001:db8::1%eth0]:1234", nil), "a zone has no meaning on another machine")
}

func TestForwardedProto_FollowsTheHeader(t *testing.T) {
	for name, c := range map[string]struct {
		header []string
		opts   []session.Option
		https  bool
	}{
		"X-Forwarded-Proto":          {[]string{"X-Forwarded-Proto", "https"}, nil, true},
		"http":                       {[]string{"X-Forwarded-Proto", "http"}, nil, false},
		"Forwarded passed through":   {[]string{"X-Forwarded-Proto", "http", "Forwarded", "proto=https"}, nil, false},
		"Forwarded chosen":           {[]string{"Forwarded", "for=1.2.3.4;Proto=https"}, []session.Option{session.WithForwardedHeader("Forwarded")}, true},
		"Forwarded chosen, no proto": {[]string{"X-Forwarded-Proto", "https", "Forwarded", "for=1.2.3.4"}, []session.Option{session.WithForwardedHeader("Forwarded")}, false},
		"X-Real-Ip chosen":           {[]string{"X-Forwarded-Proto", "https"}, []session.Option{session.WithForwardedHeader("X-Real-Ip")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(logs)
			clientIP(t, "192.0.2.7:1234", c.header, append(c.opts, log.option())...)
			if c.https {
				require.Empty(t, log.String())
			} else {
				require.Contains(t, log.String(), "looks like plain HTTP")
			}
		})
	}
}

func TestNew_ForwardedHeader(t *testing.T) {
	for _, name := range []string{"", "X Real", "X-Real-Ip:", "é"} {
		_, err := session.New(memstore.New(), secret, session.WithForwardedHeader(name))
		require.ErrorContains(t, err, "WithForwardedHeader(")
	}
}
