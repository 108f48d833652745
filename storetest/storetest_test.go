package storetest_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/storetest"
)

func TestRun(t *testing.T) {
	opened := 0
	storetest.Run(t, func(testing.TB) session.Store {
		opened++
		return memstore.New()
	})
	if opened != 1 {
		t.Errorf("Run opened %d stores, want 1", opened)
	}
}

func TestRun_WrongStores(t *testing.T) {
	for _, w := range wrongStores {
		t.Run(w.name, func(t *testing.T) {
			broken := brokenRules(t, w.store)
			message, ok := broken[w.rule]
			if !ok {
				t.Fatalf("%q did not fail", w.rule)
			}
			t.Logf("a store that %s: %s", w.name, message)
			if slices.Equal(w.also, many) {
				return
			}
			for _, rule := range storetest.Rules() {
				expected := rule == w.rule || slices.Contains(w.also, rule)
				if message, ok := broken[rule]; ok != expected {
					t.Errorf("%q failed: %v, want %v %s", rule, ok, expected, message)
				}
			}
		})
	}
}

func TestReference_BreaksNoRule(t *testing.T) {
	for rule, message := range brokenRules(t, func() session.Store { return memstore.New() }) {
		t.Errorf("%q failed: %s", rule, message)
	}
}

func TestRules_EachHasAWrongStore(t *testing.T) {
	rules := storetest.Rules()
	for i, rule := range rules {
		if slices.Contains(rules[:i], rule) {
			t.Errorf("two rules are called %q", rule)
		}
		if !slices.ContainsFunc(wrongStores, func(w wrong) bool { return w.rule == rule }) {
			t.Errorf("no wrong store breaks %q", rule)
		}
	}
	for _, w := range wrongStores {
		for _, rule := range append([]string{w.rule}, w.also...) {
			if !slices.Contains(rules, rule) && rule != many[0] {
				t.Errorf("the store that %s breaks an unknown rule %q", w.name, rule)
			}
		}
	}
}

// A field added to the contract must be added to the trials.
func TestTrials_UseEveryField(t *testing.T) {
	rec, ch := storetest.Full(&recorder{}, memstore.New())
	for _, v := range []reflect.Value{reflect.ValueOf(*rec), reflect.ValueOf(rec.Info), reflect.ValueOf(*ch)} {
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if v.Field(i).IsZero() && !slices.Contains([]string{"If", "Unset", "Replace"}, name) {
				t.Errorf("%v.%s is zero", v.Type(), name)
			}
		}
	}
}

// brokenRules tests each rule with a new store. It returns the messages of the
// failures by rule.
func brokenRules(t *testing.T, open func() session.Store) map[string]string {
	broken := map[string]string{}
	synctest.Test(t, func(t *testing.T) {
		for _, rule := range storetest.Rules() {
			r := &recorder{}
			r.run(func() { storetest.Prove(r, rule, open()) })
			if r.failure == "" {
				continue
			}
			broken[rule] = r.failure
			if !strings.HasPrefix(r.failure, "broken rule: "+rule+": ") {
				t.Errorf("the failure does not name its rule %q: %s", rule, r.failure)
			}
		}
	})
	return broken
}

// recorder replaces a *testing.T and records its failure.
type recorder struct {
	failure  string
	cleanups []func()
}

// run runs f in a new goroutine, which Fatalf ends.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return context.Background() }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
