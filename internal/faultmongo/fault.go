package faultmongo

import (
	"slices"
	"time"
)

// Kind is the effect of a fault on a command.
type Kind int

// The kinds of faults.
const (
	CloseBefore Kind = iota + 1 // closes the connection; the command is not applied
	CloseAfter                  // applies the command and closes the connection instead of replying
	DropReply                   // applies the command, never replies and leaves the connection open
	BlackHole                   // never replies; the command is not applied
	Delay                       // applies the command after a delay
	Trickle                     // sends the reply in small pieces over a time
	Answer                      // replies with an error code; the command is not applied
	Unconfirmed                 // applies a write and replies with a write concern error
)

func (k Kind) String() string {
	return [...]string{"none", "close before", "close after", "drop the reply", "black hole", "delay", "trickle", "answer", "unconfirmed"}[k]
}

// Fault selects commands and an effect. A zero field for the selection selects
// every command.
type Fault struct {
	Kind Kind
	Code int32         // for Answer and Unconfirmed
	For  time.Duration // for Delay and Trickle

	View     string
	Member   int      // number of the member, from 1
	Commands []string // by default every command except hello
	Writes   bool     // only insert, update, delete and findAndModify
	Times    int      // number of commands; zero means until Remove
	Share    float64  // share of the commands, chosen by the seed; zero means all
}

// Active is an injected fault.
type Active struct {
	Fault
	p    *Proxy
	hits int
}

// Inject begins a fault. If several faults fit a command, the oldest one
// applies.
func (p *Proxy) Inject(f Fault) *Active {
	a := &Active{Fault: f, p: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, a)
	return a
}

// Remove ends the fault. It does not change commands to which the fault already
// applies.
func (a *Active) Remove() {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.faults = slices.DeleteFunc(a.p.faults, func(b *Active) bool { return a == b })
}

// Hits returns the number of commands to which the fault has been applied.
func (a *Active) Hits() int {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	return a.hits
}

// pick returns the fault for a command, or the zero Fault.
func (p *Proxy) pick(at *port, name string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.faults {
		if a.fits(at, name) && (a.Share == 0 || p.rng.Float64() < a.Share) {
			a.hits++
			return a.Fault
		}
	}
	return Fault{}
}

func (a *Active) fits(at *port, name string) bool {
	switch {
	case a.Times > 0 && a.hits >= a.Times,
		a.View != "" && a.View != at.view.name,
		a.Member > 0 && a.Member != at.member+1,
		a.Writes && !writes[name]:
		return false
	case len(a.Commands) > 0:
		return slices.Contains(a.Commands, name)
	default:
		return !isHello(name) && name != "endSessions"
	}
}
