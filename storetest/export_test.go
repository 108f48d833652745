package storetest

import "github.com/holdfast-go/session"

// TB is the interface through which a trial fails.
type TB = tb

// Rules returns the names of all rules.
func Rules() []string {
	var rules []string
	for _, c := range contract() {
		rules = append(rules, c.rule)
	}
	return rules
}

// Prove tests one rule of s, and fails t if s breaks it.
func Prove(t TB, rule string, s session.Store) {
	for _, c := range contract() {
		if c.rule == rule {
			c.prove(newTrial(t, rule, s))
		}
	}
}

// Full returns a record and a Change of a trial.
func Full(t TB, s session.Store) (*session.Record, *session.Change) {
	trial := newTrial(t, "", s)
	return trial.record(), trial.change()
}
