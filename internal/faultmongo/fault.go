package faultmongo

import (
	"slices"
	"time"
)

// Kind is what a fault does to a command.
type Kind int

// The kinds of faults.
const (
	CloseBefore Kind = iota + 1 // closes the connection, nothing is applied
	CloseAfter                  // applies the command, closes the connection instead of answering
	DropReply                   // applies the command, never answers, leaves the connection open
	BlackHole                   // never answers, nothing is applied
	Delay                       // applies the command after a time
	Trickle                     // answers, spread over a time
	Answer                      // answers with a code, nothing is applied
	Unconfirmed                 // applies a write, answers with a write concern error
)

func (k Kind) String() string {
	return [...]string{"none", "close before", "close after", "drop the reply", "black hole", "delay", "trickle", "answer", "unconfirmed"}[k]
}

// Fault is what to do to which commands. Zero fields of the choice choose all.
type Fault struct {
	Kind Kind
	Code int32         // of Answer and Unconfirmed
	For  time.Duration // of Delay and Trickle

	View     string
	Member   int      // from 1
	Commands []string // by default all but hello
	Writes   bool     // insert, update, delete and findAndModify alone
	Times    int      // how many commands; zero: until Remove
	Share    float64  // of the commands, by the seed; zero: all
}

// Active is a fault at work.
type Active struct {
	Fault
	p    *Proxy
	hits int
}

// Inject begins a fault. The oldest one that fits a command is the one it
// gets.
func (p *Proxy) Inject(f Fault) *Active {
	a := &Active{Fault: f, p: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, a)
	return a
}

// Remove ends the fault; commands that have got it keep it.
func (a *Active) Remove() {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.faults = slices.DeleteFunc(a.p.faults, func(b *Active) bool { return a == b })
}

// Hits is how many commands have got the fault.
func (a *Active) Hits() int {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	return a.hits
}

// pick returns the fault of a command, the zero one for none.
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
