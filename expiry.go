package session

import "time"

// live judges limits: those in the record and, unless the session has its
// own, those configured now, so that lowering one by a deploy works.
func (m *Manager) isLive(i *Info, now time.Time) bool {
	if !now.Before(i.ExpiresAt) || !now.Before(i.Deadline) {
		return false
	}
	return i.IdleTimeout > 0 ||
		now.Before(i.LastSeenAt.Add(m.idleTimeout(i))) && now.Before(lifetimeStart(i).Add(m.lifetime))
}

// start is what the lifetime counts from.
func lifetimeStart(i *Info) time.Time {
	if i.SignedInAt.After(i.CreatedAt) {
		return i.SignedInAt
	}
	return i.CreatedAt
}

func (m *Manager) idleTimeout(i *Info) time.Duration {
	switch {
	case i.IdleTimeout > 0:
		return i.IdleTimeout
	case i.User == "":
		return m.anonIdle
	default:
		return m.idle
	}
}

func (m *Manager) touchInterval(i *Info) time.Duration {
	if idle := m.idleTimeout(i); idle != m.idle {
		return min(m.touch, idle/10)
	}
	return m.touch
}

// expires returns when a session seen now ends without further activity.
func (m *Manager) idleExpiry(i *Info, now time.Time) time.Time {
	if e := now.Add(m.idleTimeout(i)); e.Before(i.Deadline) {
		return e
	}
	return i.Deadline
}

// milli returns a time as a store keeps it.
func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
