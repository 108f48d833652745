package console

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-go/session"
)

const (
	maxEvents = 200
	maxText   = 256  // bytes of a User-Agent or an error
	maxUser   = 1024 // bytes of a user name
)

// event is an event as the pages show it. Equal events in sequence are one event.
type event struct {
	first, last time.Time
	n           int
	kind        session.EventKind
	reason      session.EventReason
	id          session.ID
	user        string
	userCut     bool // user is only the beginning of the name
	ip, agent   string
	err         string
}

// same reports whether e and other differ only in their time.
func (e event) same(other event) bool {
	e.first, e.last, e.n = other.first, other.last, other.n
	if callIndex(e.kind) >= 0 {
		e.id, e.user = other.id, other.user // one outage fails the calls of many sessions
	}
	return e == other
}

// events holds the latest events, the oldest one first.
type events []event

func (l *events) add(now time.Time, e session.Event) {
	n := event{
		first: now, last: now, n: 1, kind: e.Kind, reason: e.Reason, id: e.ID,
		user: clip(e.User, maxUser), userCut: len(e.User) > maxUser, ip: e.ClientIP, agent: clip(e.UserAgent, maxText),
	}
	if e.Err != nil {
		n.err = clip(e.Err.Error(), maxText)
	}
	if end := len(*l) - 1; end >= 0 && (*l)[end].same(n) {
		(*l)[end].last = now
		(*l)[end].n++
		return
	}
	if len(*l) >= maxEvents {
		copy(*l, (*l)[1:])
		*l = (*l)[:maxEvents-1]
	}
	*l = append(*l, n)
}

// clip returns a copy of s of at most n bytes, so that a long text is not kept.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n]) + "…"
}

// eventTexts are the names of the kinds that are not store calls.
var eventTexts = map[session.EventKind]string{
	session.EventStaleToken: "Stale token presented",
	session.EventLostChange: "Change lost",
	session.EventRevoked:    "Session revoked",
	session.EventEvicted:    "Session ended by a newer one",
	session.EventExpired:    "Session expired",
	session.EventCreated:    "Session created",
	session.EventSignedIn:   "Signed in",
	session.EventSignedOut:  "Signed out",
	session.EventRenewed:    "Token renewed",
}

// text returns the name of the event.
func (e event) text() string {
	if callIndex(e.kind) >= 0 {
		return "Store failed: " + string(e.kind)
	}
	if text, ok := eventTexts[e.kind]; ok {
		return text
	}
	return string(e.kind)
}

// needsAttention reports whether an event is in the list of events that need
// attention. Any store call in a list has failed.
func needsAttention(kind session.EventKind) bool {
	switch kind {
	case session.EventStaleToken, session.EventLostChange, session.EventRevoked, session.EventEvicted:
		return true
	}
	return false
}

// alarming reports whether the event points to a theft or a fault.
func (e event) alarming() bool {
	return e.kind == session.EventStaleToken || e.kind == session.EventLostChange || callIndex(e.kind) >= 0
}

// reasonTexts explain reasons that the name of the event does not contain.
var reasonTexts = map[session.EventReason]string{
	session.ReasonImport:            "from another program",
	session.ReasonSignInAsOtherUser: "sign-in as another user",
	session.ReasonRevoke:            "this session only",
	session.ReasonRevokeAll:         "all sessions of the user",
	session.ReasonRevokeOthers:      "all but one session of the user",
	session.ReasonRevokedSignIn:     "sign-in in progress",
	session.ReasonMaxPerUser:        "maximum per user",
	session.ReasonIdleTimeout:       "idle timeout",
	session.ReasonLifetime:          "end of the lifetime",
	session.ReasonSetTimeouts:       "new timeouts",
	session.ReasonSignIn:            "",
	session.ReasonSignOut:           "",
	session.ReasonChange:            "",
	session.ReasonRenew:             "",
}
