package faultmongo

import (
	"context"
	"time"
)

// Election describes how the set changes its primary.
type Election struct {
	// Code is the error code of commands in progress at the old primary,
	// although they have been applied: 11602, 189, 91, 11600 or 10107. If Code
	// is zero, the proxy closes their connections instead, as a crash does.
	Code int32
	// Gap is the time during which the set has no primary.
	Gap time.Duration
	// Down keeps the ports of the old primary closed during the gap.
	Down bool
	// Next is the number of the next primary, from 1. If it is zero, the seed
	// decides.
	Next int
}

// Elect holds an election and returns when the new primary has taken over. If
// ctx ends, the gap ends at once.
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

// Primary returns the number of the primary, from 1. It returns 0 while there
// is no primary.
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
// the refusal.
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
		return &reign{}, 0 // a reign without an end
	case p.primary < 0 && (p.reign.code == ShutdownInProgress || p.reign.code == InterruptedAtShutdown):
		return nil, p.reign.code
	case read:
		return nil, NotPrimaryNoSecondaryOk
	default:
		return nil, NotWritablePrimary
	}
}

// anywhere are commands to which a member responds in every state.
var anywhere = map[string]bool{
	"ping": true, "endSessions": true, "killCursors": true, "getMore": true, "buildInfo": true, "configureFailPoint": true,
}

// reads are commands to which a secondary responds if the client allows it.
var reads = map[string]bool{
	"find": true, "count": true, "distinct": true, "aggregate": true,
	"listIndexes": true, "listCollections": true, "listDatabases": true, "dbStats": true, "collStats": true,
}

// writes are commands with a reply for which a driver waits. The driver may
// repeat them.
var writes = map[string]bool{"insert": true, "update": true, "delete": true, "findAndModify": true}
