package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMutations_Apply checks that every mutation still applies to the code.
// Whether a test catches it takes minutes to find out: go run ./internal/mutate.
func TestMutations_Apply(t *testing.T) {
	for _, m := range all {
		whole, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.apply(whole); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// TestMutations_TestsExist checks that every mutation names tests of its
// package. A renamed test would otherwise be missed only by the long run.
func TestMutations_TestsExist(t *testing.T) {
	for _, m := range all {
		files, err := filepath.Glob(filepath.Join("..", "..", m.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(data)
		}
		for name := range strings.SplitSeq(m.tests, "|") {
			if !regexp.MustCompile(`(?m)^func ` + name + `\(`).MatchString(text.String()) {
				t.Errorf("%s: package %s has no test %s", m.name, m.pkg, name)
			}
		}
	}
}
