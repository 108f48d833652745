package session

import "time"

// SetClock gives a Manager another clock.
func (m *Manager) SetClock(now func() time.Time) { m.now = now }
