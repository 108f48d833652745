// Command mutate breaks the library on purpose, one mutation at a time in a
// copy of the tree, and runs the tests that must fail:
//
//	go run ./internal/mutate [NAME…]
//
// It prints the test that caught each mutation, and "caught N of N". It reports
// an error for a mutation that does not apply to the code or does not compile,
// because such a mutation proves nothing.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// all are the mutations of all files.
var all = slices.Concat(
	mutations,
	ofCommand,
	protocol,
	encryption,
	events,
	tokenHeader,
	reach,
	express,
	pages,
	inRedis,
)

func run(names []string) error {
	dir, err := os.MkdirTemp("", "mutate-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(dir); err != nil {
		return err
	}
	caught, tried := 0, 0
	for _, m := range all {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		tried++
		by, err := m.try(dir)
		if err != nil {
			fmt.Printf("MISSED  %s: %v\n", m.name, err)
			continue
		}
		caught++
		fmt.Printf("caught  %s, by %s\n", m.name, by)
	}
	fmt.Printf("caught %d of %d\n", caught, tried)
	if caught < tried || tried == 0 {
		return fmt.Errorf("%d mutations were not caught", tried-caught)
	}
	return nil
}

// copyTree copies the files that git tracks or would track.
func copyTree(dir string) error {
	list, err := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("run it in the project's root: %w", err)
	}
	for _, file := range strings.Fields(string(list)) {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // deleted, but not yet committed
		}
		to := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

func (m mutation) apply(whole []byte) (broken []byte, err error) {
	if n := bytes.Count(whole, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s contains the old code %d times, want 1", m.file, n)
	}
	return bytes.Replace(whole, []byte(m.old), []byte(m.new), 1), nil
}

// try applies the mutation, runs its tests and reverts it. It returns the name
// of a failed test.
func (m mutation) try(dir string) (by string, err error) {
	file := filepath.Join(dir, m.file)
	whole, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	broken, err := m.apply(whole)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, broken, 0o644); err != nil {
		return "", err
	}
	defer os.WriteFile(file, whole, 0o644)
	in, pkg := dir, "./"+m.pkg
	if _, err := os.Stat(filepath.Join(dir, m.pkg, "go.mod")); err == nil {
		in, pkg = filepath.Join(dir, m.pkg), "." // a module of its own
	}
	out, err := command(in, "test", "-timeout", "120s", "-run", "^("+m.tests+")$", pkg)
	switch {
	case err == nil:
		return "", fmt.Errorf("%s passed", m.tests)
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return "", fmt.Errorf("does not compile: %s", out)
	}
	if found := failed.FindSubmatch(out); found != nil {
		return string(found[1]), nil
	}
	return "", fmt.Errorf("failed without a failed test: %s", out)
}

func command(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	return cmd.CombinedOutput()
}
