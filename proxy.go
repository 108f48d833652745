package session

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// warnInsecure says once that a Secure cookie seems to go out over plain HTTP.
// Loopback is let pass: browsers take it for secure.
func (m *Manager) warnInsecure(r *http.Request) {
	peer := peerAddr(r)
	if !m.cookie.secure || r.TLS != nil || peer.IsLoopback() || m.forwardedHTTPS(r, peer) {
		return
	}
	m.warnedInsecure.Do(func() {
		m.log.WarnContext(r.Context(), "session: a Secure cookie goes out over what looks like plain HTTP, and browsers will not keep it; "+
			"serve HTTPS, or name the proxy that does with WithTrustedProxies", "peer", peer.String())
	})
}

// peerAddr returns the address of the immediate peer.
func peerAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return withoutZone(ap.Addr())
}

// plain drops an IPv6 zone, which has no meaning on another machine and which no
// prefix contains.
func withoutZone(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

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
	proto := lastOf(r.Header["X-Forwarded-Proto"])
	if m.forwarded == "Forwarded" {
		proto = forwardedParam(lastOf(r.Header["Forwarded"]), "proto")
	}
	return strings.EqualFold(proto, "https")
}

// Bounds for the header of WithForwardedHeader, most of which a client may have
// written. The longest address is an IPv6 one in brackets, with a zone and a port.
const (
	maxHops    = 32
	maxHopSize = 80
)

// clientIP returns the address that the nearest trusted proxy names, or the
// peer's. It reads one header only, because a proxy passes the others through. It
// starts at the end, because proxies append to the values that the client sent.
func (m *Manager) clientIP(r *http.Request) string {
	addr, n := peerAddr(r), 0
	for hop := range backward(r.Header[m.forwarded]) {
		if n++; !m.trusts(addr) || n > maxHops {
			break
		}
		next, ok := m.hopAddr(hop)
		if !ok {
			break
		}
		addr = next
	}
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// hopAddr parses an element of the header of WithForwardedHeader.
func (m *Manager) hopAddr(hop string) (netip.Addr, bool) {
	if m.forwarded == "Forwarded" {
		hop = forwardedParam(hop, "for")
	}
	if len(hop) > maxHopSize {
		return netip.Addr{}, false
	}
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return withoutZone(ap.Addr()), true
	}
	if len(hop) > 1 && hop[0] == '[' && hop[len(hop)-1] == ']' {
		hop = hop[1 : len(hop)-1]
	}
	addr, err := netip.ParseAddr(hop)
	return withoutZone(addr), err == nil
}

// backward yields a header's comma-separated values, the last one first.
func backward(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range slices.Backward(values) {
			for i := len(v); i >= 0; {
				end := i
				i = strings.LastIndexByte(v[:end], ',')
				if !yield(strings.TrimSpace(v[i+1 : end])) {
					return
				}
			}
		}
	}
}

// list splits a header's comma-separated values.
func splitList(values []string) []string {
	var items []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

func lastOf(values []string) string {
	for v := range backward(values) {
		return v
	}
	return ""
}

// parameter returns one of a Forwarded element's (RFC 7239, section 4).
func forwardedParam(element, name string) string {
	for pair := range strings.SplitSeq(element, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && strings.EqualFold(k, name) {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

// describe returns the client's address and User-Agent for WithClientInfo, as valid
// UTF-8 of bounded size.
func (m *Manager) describeClient(r *http.Request) (ip, agent string) {
	if !m.clientInfo || r == nil {
		return "", ""
	}
	agent = r.UserAgent()
	return m.clientIP(r), strings.ToValidUTF8(agent[:min(len(agent), 256)], "")
}
