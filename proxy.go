package session

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// warnOnce keeps a warning that every request would repeat to one line.
type warnOnce struct{ sync.Once }

// warnInsecure says once that a Secure cookie seems to go out over plain HTTP.
// Loopback is let pass: browsers take it for secure.
func (m *Manager) warnInsecure(r *http.Request) {
	peer := peerAddr(r)
	if !m.cookie.secure || r.TLS != nil || peer.IsLoopback() || m.forwardedHTTPS(r, peer) {
		return
	}
	m.warn.Do(func() {
		m.log.WarnContext(r.Context(), "session: a Secure cookie goes out over what looks like plain HTTP, and browsers will not keep it; "+
			"serve HTTPS, or name the proxy that does with WithTrustedProxies", "peer", peer.String())
	})
}

func peerAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

func (m *Manager) trusts(addr netip.Addr) bool {
	for _, p := range m.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func (m *Manager) forwardedHTTPS(r *http.Request, peer netip.Addr) bool {
	if !m.trusts(peer) {
		return false
	}
	proto := last(r.Header.Values("X-Forwarded-Proto"))
	if f := last(r.Header.Values("Forwarded")); f != "" {
		proto = parameter(f, "proto")
	}
	return strings.EqualFold(proto, "https")
}

// clientIP returns the address that the nearest trusted proxy names, or the
// peer's. It walks the list from its end: what the client itself sent stands
// before what our proxies appended.
func (m *Manager) clientIP(r *http.Request) string {
	addr := peerAddr(r)
	hops := list(r.Header.Values("X-Forwarded-For"))
	if f := list(r.Header.Values("Forwarded")); len(f) > 0 {
		hops = f
		for i := range hops {
			hops[i] = parameter(hops[i], "for")
		}
	}
	for m.trusts(addr) && len(hops) > 0 {
		hop := hops[len(hops)-1]
		hops = hops[:len(hops)-1]
		next, err := netip.ParseAddr(strings.Trim(hop, "[]"))
		if ap, perr := netip.ParseAddrPort(hop); perr == nil {
			next, err = ap.Addr(), nil
		}
		if err != nil {
			break
		}
		addr = next.Unmap()
	}
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// list splits a header's comma-separated values.
func list(values []string) []string {
	var items []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

func last(values []string) string {
	if items := list(values); len(items) > 0 {
		return items[len(items)-1]
	}
	return ""
}

// parameter returns one of a Forwarded element's (RFC 7239, section 4).
func parameter(element, name string) string {
	for pair := range strings.SplitSeq(element, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && strings.EqualFold(k, name) {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

// clientInfo returns what WithClientInfo keeps, valid UTF-8 of bounded size.
func (m *Manager) describe(r *http.Request) (ip, agent string) {
	if !m.clientInfo || r == nil {
		return "", ""
	}
	agent = r.UserAgent()
	return m.clientIP(r), strings.ToValidUTF8(agent[:min(len(agent), 256)], "")
}
