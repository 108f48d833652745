package model_test

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-go/session"
)

// op describes a request and the properties of it used by the invariants.
type op struct {
	name  string
	do    func(ctx context.Context, a *actor, s *session.Session) error
	alone func(a *actor) error // runs without a session

	keys       []session.Key[mark] // the keys it writes
	user       string              // the user it signs in
	counts     bool                // it updates visits
	renews     bool
	limits     bool // it sets the session's timeouts
	destroys   bool
	revokes    bool
	revokesAll bool // it also ends its own session
	reloads    bool
	clears     bool
	resets     bool // it sets visits, without a guard

	// last is the key written by the second of two saves, whose result decides.
	last string

	again bool // it saves until the outcome is known, so a refusal may be its second result

	late bool // it acts after the response has begun
	gone bool // its client goes away before the response begins
	due  bool // it tests touches, so one is due
}

// writes reports whether a response without an error acknowledges a change.
func (o op) writes() bool {
	return len(o.keys) > 0 || o.user != "" || o.counts || o.renews || o.destroys || o.clears || o.resets
}

type sess = session.Session

// plain returns an op whose calls need no context.
func plain(name string, do func(a *actor, s *sess), traits op) op {
	traits.name = name
	traits.do = func(_ context.Context, a *actor, s *sess) error { do(a, s); return nil }
	return traits
}

func put(k session.Key[mark], a *actor, s *sess) { k.Set(s, mark{a.n, s.User()}) }

var (
	set      = plain("Set", func(a *actor, s *sess) { put(color, a, s) }, op{keys: keys(color)})
	setOther = plain("Set another key", func(a *actor, s *sess) { put(shape, a, s) }, op{keys: keys(shape)})
	clearAll = plain("Clear", func(_ *actor, s *sess) { s.Clear() }, op{clears: true})
	read     = plain("read", func(*actor, *sess) {}, op{})
	touch    = plain("touch", func(*actor, *sess) {}, op{due: true})
	renew    = plain("Renew", func(_ *actor, s *sess) { s.Renew() }, op{renews: true})
	timeouts = plain("SetTimeouts", func(_ *actor, s *sess) { s.SetTimeouts(ownIdle, 24*time.Hour) }, op{renews: true, limits: true})
	destroy  = plain("SignOut", func(_ *actor, s *sess) { s.SignOut() }, op{destroys: true})
	loginAnn = plain("SignIn ann", func(_ *actor, s *sess) { s.SignIn("ann") }, op{user: "ann", renews: true})
	loginBob = plain("SignIn bob", func(_ *actor, s *sess) { s.SignIn("bob") }, op{user: "bob", renews: true})
	loginSet = plain("SignIn ann and Set", func(a *actor, s *sess) { s.SignIn("ann"); put(color, a, s) },
		op{user: "ann", renews: true, keys: keys(color)})
	renewSet = plain("Renew and Set", func(a *actor, s *sess) { s.Renew(); put(color, a, s) },
		op{renews: true, keys: keys(color)})
	bye = plain("SignOut and Set", func(a *actor, s *sess) { s.SignOut(); put(color, a, s) },
		op{destroys: true, keys: keys(color)})

	update = op{name: "Update", counts: true, do: count}
	reload = op{name: "Reload", reloads: true, do: func(ctx context.Context, a *actor, s *sess) error {
		err := s.Reload(ctx)
		a.look(s)
		return err
	}}
	save = op{name: "Save, then Set another key", keys: keys(color, shape), last: string(shape), do: func(ctx context.Context, a *actor, s *sess) error {
		put(color, a, s)
		if err := s.Save(ctx); err != nil {
			s.Discard() // otherwise the commit would try again
			return err
		}
		put(shape, a, s)
		return nil
	}}
	loginCount = op{name: "SignIn ann, Save and Update", user: "ann", renews: true, counts: true, last: string(visits), do: func(ctx context.Context, a *actor, s *sess) error {
		s.SignIn("ann")
		if err := s.Save(ctx); err != nil {
			s.Discard()
			return err
		}
		return count(ctx, a, s)
	}}
	saveCount = op{name: "Set, Save and Update", keys: keys(color), counts: true, last: string(visits), do: func(ctx context.Context, a *actor, s *sess) error {
		put(color, a, s)
		if err := s.Save(ctx); err != nil {
			s.Discard()
			return err
		}
		return count(ctx, a, s)
	}}
	renewCount = op{name: "Renew, Save and Update", renews: true, counts: true, last: string(visits), do: func(ctx context.Context, a *actor, s *sess) error {
		s.Renew()
		if err := s.Save(ctx); err != nil {
			s.Discard()
			return err
		}
		return count(ctx, a, s)
	}}
	setCount = plain("Set the count", func(a *actor, s *sess) { visits.Set(s, tally{100 * a.n, a.n, s.User()}) }, op{resets: true})
	// It continues without the user whose sign-in failed.
	loginElse = op{name: "SignIn ann, on failure Discard and Set", user: "ann", renews: true, last: string(color), do: func(ctx context.Context, a *actor, s *sess) error {
		s.SignIn("ann")
		if err := s.Save(ctx); err == nil {
			return nil
		}
		s.Discard()
		a.fell, a.after = true, s.User()
		put(color, a, s)
		return s.Save(ctx)
	}}
	change = op{name: "RevokeAll and SignIn ann", revokes: true, revokesAll: true, user: "ann", renews: true, do: func(ctx context.Context, a *actor, s *sess) error {
		if _, err := a.manager.RevokeAll(session.NewContext(ctx, s), "ann"); err != nil {
			return err
		}
		s.SignIn("ann")
		return nil
	}}
	// These are goroutines of one request.
	slowCount = op{name: "Update", counts: true, do: func(ctx context.Context, a *actor, s *sess) error {
		v, err := visits.Update(ctx, s, func(v tally) tally {
			a.stop(step{what: "f"})
			return tally{v.N + 1, a.n, v.User}
		})
		if err != nil {
			return err
		}
		a.stored = v.N
		if a.wrote(visits) {
			return nil
		}
		return a.takeTurn(s.Save) // this saves the new session
	}}
	saveSet   = beside(set)
	saveRenew = beside(renew)
	saveLogin = beside(loginAnn)
	saveClear = beside(clearAll)
	saveBye   = beside(destroy)
	reloads   = op{name: "Reload", do: func(_ context.Context, a *actor, s *sess) error { return a.takeTurn(s.Reload) }}

	setAgain   = again(set, func(a *actor, s *sess) { put(color, a, s) })
	clearAgain = again(clearAll, nil)
	renewAgain = again(renewSet, func(a *actor, s *sess) { put(shape, a, s) }, shape)
	loginAgain = again(loginAnn, func(a *actor, s *sess) { put(color, a, s) }, color)

	others = op{name: "RevokeOthers", revokes: true, do: func(ctx context.Context, _ *actor, s *sess) error {
		_, err := s.RevokeOthers(ctx)
		return err
	}}
	password = op{name: "SignIn ann and RevokeOthers", revokes: true, user: "ann", renews: true, do: func(ctx context.Context, _ *actor, s *sess) error {
		s.SignIn("ann")
		_, err := s.RevokeOthers(ctx)
		if err != nil {
			s.Discard()
		}
		return err
	}}
	all = op{name: "RevokeAll", revokes: true, alone: func(a *actor) error {
		_, err := a.manager.RevokeAll(a.context(), "ann")
		return err
	}}
	one = op{name: "Revoke", destroys: true, alone: func(a *actor) error {
		return a.manager.Revoke(a.context(), "ann", a.world.first())
	}}
	each = op{name: "List and Revoke each", destroys: true, alone: func(a *actor) error {
		infos, err := a.manager.List(a.context(), "ann")
		for _, i := range infos {
			if a.manager.Revoke(a.context(), "ann", i.ID) == nil {
				a.revoked = append(a.revoked, i.ID)
			}
		}
		return err
	}}
	job = op{name: "LoadID and Set", keys: keys(color), alone: func(a *actor) error {
		s, err := a.manager.LoadID(a.context(), a.world.first())
		if err != nil {
			return err
		}
		a.user = s.User()
		a.look(s)
		put(color, a, s)
		return s.Save(a.context())
	}}

	lateSet     = late(set)
	lateDestroy = late(destroy)
	lateRenew   = late(renew)
	goneLogin   = gone(loginAnn)
	goneSet     = gone(set)
)

// again returns an op that saves once more if the outcome of the first Save is
// unknown. Before that it calls between to make further changes.
func again(o op, between func(a *actor, s *sess), more ...session.Key[mark]) op {
	first := o.do
	o.name, o.again = o.name+", Save until the outcome is known", true
	o.do = func(ctx context.Context, a *actor, s *sess) error {
		if err := first(ctx, a, s); err != nil {
			return err
		}
		err := s.Save(ctx)
		if err == nil || session.HTTPStatus(err) != http.StatusServiceUnavailable {
			return err
		}
		if between != nil {
			between(a, s)
			a.op.keys = slices.Concat(a.op.keys, more)
		}
		return s.Save(ctx)
	}
	return o
}

// beside returns an op to be run in a goroutine, followed by Save.
func beside(o op) op {
	first := o.do
	o.name += " and Save"
	o.do = func(ctx context.Context, a *actor, s *sess) error {
		if err := first(ctx, a, s); err != nil {
			return err
		}
		return a.takeTurn(s.Save)
	}
	return o
}

func keys(k ...session.Key[mark]) []session.Key[mark] { return k }

func late(o op) op {
	o.name, o.late = o.name+" after the first byte", true
	return o
}

func gone(o op) op {
	o.name, o.gone = o.name+", client gone", true
	return o
}

// ownIdle is the idle timeout set by SetTimeouts. It is shorter than the idle
// timeout of the Managers.
const ownIdle = time.Minute

func count(ctx context.Context, a *actor, s *sess) error {
	user := s.User()
	_, err := visits.Update(ctx, s, func(v tally) tally {
		a.sights, a.counted = append(a.sights, sight{v.User, user}), append(a.counted, v)
		return tally{v.N + 1, a.n, user}
	})
	return err
}

// wrote reports whether an actor itself has written a key.
func (a *actor) wrote(key session.Key[tally]) bool {
	return slices.ContainsFunc(a.world.log, func(st *step) bool { return st.actor == a && st.stores(string(key)) })
}

// pass returns an op that advances the clock.
func pass(d time.Duration) op {
	return op{name: "time passes: " + d.String(), alone: func(a *actor) error {
		a.stop(step{what: "wait", touch: foot{all: true}})
		time.Sleep(d)
		return nil
	}}
}

// reap returns an op that acts like the database's TTL monitor. It removes
// records long after their expiry, and never a live one.
func reap(d time.Duration) op {
	o := pass(d)
	return op{name: o.name + ", expired records are removed", alone: func(a *actor) error {
		_ = o.alone(a)
		a.stop(step{what: "reap", touch: foot{all: true}})
		for id := range a.world.seen() {
			rec, err := a.world.mem.Load(a.context(), id)
			if err == nil && time.Now().After(rec.ExpiresAt.Add(5*time.Minute)) {
				_ = a.world.mem.Delete(a.context(), id)
			}
		}
		return nil
	}}
}
