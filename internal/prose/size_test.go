package main

import (
	"os"
	"strings"
	"testing"
)

func TestSizes_Limits(t *testing.T) {
	t.Chdir(t.TempDir())
	long := "package p\n\nfunc f() {\n" + strings.Repeat("\n", maxFunc-1) + "}\n"
	for name, text := range map[string]string{
		"long.go":      long,
		"long_test.go": long,
		"short.go":     "package p\n\nfunc g() {}\n",
		"file.go":      "package p\n" + strings.Repeat("// A line.\n", maxFile),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sizes([]string{"long.go", "long_test.go", "short.go"})
	if err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "long.go:3:1: f has 61 lines") {
		t.Errorf("%q, %v; want the one function of 61 lines", got, err)
	}
	if got, err := sizes([]string{"short.go", "file.go"}); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "file.go has ") {
		t.Errorf("%q, %v; want the one file", got, err)
	}
}
