package session

import "time"

// SetClock gives a Manager another clock.
func (m *Manager) SetClock(now func() time.Time) { m.now = now }

// MarkerID is where the revocation of a user is kept.
func MarkerID(user string) ID { return markerID(user) }
