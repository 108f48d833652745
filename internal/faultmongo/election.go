package faultmongo

import (
	"context"
	"time"
)

// Election is how a primary goes and another comes.
type Election struct {
	// Code is what commands under way at the old primary are answered though
	// they have been applied: 11602, 189, 91, 11600, 10107. Zero: its
	// connections are closed instead, as by a crash.
	Code int32
	// Gap is how long the set has no primary.
	Gap time.Duration
	// Down keeps the old primary's ports closed during the gap.
	Down bool
	// Next is the member that follows, from 1; zero leaves it to the seed.
	Next int
}

// Elect holds an election and returns when the new primary has taken over, or
// at once when ctx ends, which shortens the gap.
func (p *Proxy) Elect(ctx context.Context, e Election) error {
	old := p.stepDown(e)
	if e.Down && old >= 0 {
		p.Refuse(old)
	}
	wait(ctx, e.Gap)
	var err error
	if e.Down && old >= 0 {
		err = p.Restore(old)
	}
	p.stepUp(old, e.Next)
	return err
}

// Primary is the member that is primary, from 1; 0 while there is none.
func (p *Proxy) Primary() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.primary + 1
}

func (p *Proxy) stepDown(e Election) (old int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, p.primary = p.primary, -1
	if old < 0 {
		return old
	}
	p.reign.code = e.Code
	close(p.reign.ended)
	if e.Code == 0 {
		p.hangUp(func(l *link) bool { return l.port.member == old })
	}
	return old
}

func (p *Proxy) stepUp(old, next int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.term++
	p.reign = &reign{ended: make(chan struct{})}
	if next > 0 {
		p.primary = (next - 1) % members
		return
	}
	p.primary = (max(old, 0) + 1 + p.rng.IntN(members-1)) % members
}

// admit returns the reign under which a member runs a command, or the code of
// its refusal.
func (p *Proxy) admit(l *link, r *request) (*reign, int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reign, code := p.judge(l.port.member, r)
	l.busy = code == 0
	return reign, code
}

func (p *Proxy) judge(member int, r *request) (*reign, int32) {
	name := r.name()
	_, err := r.body.LookupErr("$readPreference")
	read := reads[name]
	switch {
	case member == p.primary:
		return p.reign, 0
	case anywhere[name], read && err == nil:
		return &reign{}, 0 // never ends
	case p.primary < 0 && (p.reign.code == ShutdownInProgress || p.reign.code == InterruptedAtShutdown):
		return nil, p.reign.code
	case read:
		return nil, NotPrimaryNoSecondaryOk
	default:
		return nil, NotWritablePrimary
	}
}

// anywhere are commands that a member answers in whatever state it is.
var anywhere = map[string]bool{
	"ping": true, "endSessions": true, "killCursors": true, "getMore": true, "buildInfo": true, "configureFailPoint": true,
}

// reads are commands that a secondary answers if the client wants that.
var reads = map[string]bool{
	"find": true, "count": true, "distinct": true, "aggregate": true,
	"listIndexes": true, "listCollections": true, "listDatabases": true, "dbStats": true, "collStats": true,
}

// writes are commands whose replies a driver waits for and may repeat.
var writes = map[string]bool{"insert": true, "update": true, "delete": true, "findAndModify": true}
