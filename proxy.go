package session

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// warnInsecure logs once if a token seems to be sent over plain HTTP. Browsers
// treat loopback addresses as secure.
func (m *Manager) warnInsecure(r *http.Request, by carrier) {
	peer := peerAddr(r)
	if !m.cookie.secure || r.TLS != nil || peer.IsLoopback() || m.forwardedHTTPS(r, peer) {
		return
	}
	m.warnedInsecure.Do(func() {
		if by == byHeader {
			m.log.WarnContext(r.Context(), "session: token header sent over what looks like plain HTTP; use HTTPS, or name its proxy in WithTrustedProxies", "peer", peer.String())
			return
		}
		m.log.WarnContext(r.Context(), "session: Secure cookie sent over what looks like plain HTTP; use HTTPS, or name its proxy in WithTrustedProxies", "peer", peer.String())
	})
}

// peerAddr returns the address of the immediate peer.
func peerAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return withoutZone(ap.Addr())
}

// withoutZone returns addr without an IPv6 zone, which has no meaning on
// another machine and is in no prefix.
func withoutZone(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// trusts reports whether addr is a trusted proxy.
func (m *Manager) trusts(addr netip.Addr) bool {
	for _, p := range m.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedHTTPS reports whether a trusted proxy has received r over HTTPS.
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

// maxHops and maxHopSize limit the header of WithForwardedHeader, since a
// client may have written most of it. The longest address is an IPv6 address
// in brackets with a zone and a port.
const (
	maxHops    = 32
	maxHopSize = 80
)

// clientIP returns the address named by the nearest trusted proxy, or the
// address of the peer. It reads only one header, because proxies pass the
// others through. It reads the header from the end, because proxies append to
// the values of the client.
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

// backward yields the comma-separated values of a header, from the last to the
// first.
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

// splitList returns the comma-separated values of a header.
func splitList(values []string) []string {
	var items []string
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

// lastOf returns the last of a header's comma-separated values, or "".
func lastOf(values []string) string {
	for v := range backward(values) {
		return v
	}
	return ""
}

// forwardedParam returns a parameter of an element of Forwarded (RFC 7239,
// section 4).
func forwardedParam(element, name string) string {
	for pair := range strings.SplitSeq(element, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && strings.EqualFold(k, name) {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

// describeClient returns the client's IP address and User-Agent. They are
// empty without WithClientInfo or without a request. Both are valid UTF-8, and
// the User-Agent has at most 256 bytes.
func (m *Manager) describeClient(r *http.Request) (ip, agent string) {
	if !m.clientInfo || r == nil {
		return "", ""
	}
	agent = r.UserAgent()
	return m.clientIP(r), strings.ToValidUTF8(agent[:min(len(agent), 256)], "")
}
