package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Every break still applies to the code. That it is noticed takes minutes: go
// run ./internal/mutate.
func TestEveryBreakApplies(t *testing.T) {
	for _, m := range slices.Concat(mutations, protocol, encryption) {
		whole, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.apply(whole); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}
