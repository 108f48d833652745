// Command gate reads the output of go test -json for each engine and prints a
// summary:
//
//	go run ./internal/gate [-promises FILE]… ENGINE=FILE…
//
// It fails if a test failed, or if a test was skipped on one engine and passed
// on no other. It also fails if a FILE of -promises names a test (`TestName` in
// backquotes) that has passed on no engine.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is a line of output of go test -json; see go doc test2json.
type event struct{ Action, Package, Test string }

// run contains the final action of each test, "pass", "fail" or "skip", by
// package and name.
type run struct {
	engine string
	tests  map[string]string
}

func main() {
	var promises []string
	flag.Func("promises", "a document; the tests it names must have passed", func(file string) error {
		promises = append(promises, file)
		return nil
	})
	flag.Parse()
	runs := make([]run, 0, flag.NArg())
	for _, arg := range flag.Args() {
		engine, file, _ := strings.Cut(arg, "=")
		tests, err := read(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, "gate:", err)
			os.Exit(1)
		}
		runs = append(runs, run{engine, tests})
	}
	faults := judge(runs)
	for _, document := range promises {
		faults = append(faults, broken(document, runs)...)
	}
	for _, f := range faults {
		fmt.Println("FAIL", f)
	}
	passed := 0
	for _, r := range runs {
		passed += r.count("pass")
	}
	fmt.Printf("%d passed, %d failed\n", passed, len(faults))
	if len(faults) > 0 || passed == 0 {
		os.Exit(1)
	}
}

func read(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tests := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // output of the compiler
		}
		switch e.Action {
		case "pass", "fail", "skip":
			if e.Test != "" || e.Action == "fail" {
				tests[e.Package+" "+e.Test] = e.Action
			}
		}
	}
	return tests, lines.Err()
}

func (r run) count(action string) (n int) {
	for _, a := range r.tests {
		if a == action {
			n++
		}
	}
	return n
}

// judge prints a summary of each engine and returns the problems.
func judge(runs []run) (faults []string) {
	for _, r := range runs {
		fmt.Printf("%s: %d passed, %d skipped\n", r.engine, r.count("pass"), r.count("skip"))
		for _, test := range slices.Sorted(maps.Keys(r.tests)) {
			switch r.tests[test] {
			case "fail":
				faults = append(faults, fmt.Sprintf("%s: %s failed", r.engine, test))
			case "skip":
				fmt.Printf("  skipped %s\n", test)
				if !passedSomewhere(test, runs) {
					faults = append(faults, fmt.Sprintf("%s: skipped, and it passed on no engine", test))
				}
			}
		}
	}
	return faults
}

func passedSomewhere(test string, runs []run) bool {
	return slices.ContainsFunc(runs, func(r run) bool { return r.tests[test] == "pass" })
}

var testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/[^`]*)?`")

// broken returns the tests named in a document that have not passed.
func broken(document string, runs []run) (faults []string) {
	text, err := os.ReadFile(document)
	if err != nil {
		return []string{err.Error()}
	}
	passed := map[string]bool{}
	for _, r := range runs {
		for test, action := range r.tests {
			_, name, _ := strings.Cut(test, " ")
			passed[name] = passed[name] || action == "pass"
		}
	}
	names := map[string]bool{}
	for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
		names[m[1]] = true
	}
	for name := range names {
		if !passed[name] {
			faults = append(faults, fmt.Sprintf("%s names %s, which has not passed", document, name))
		}
	}
	fmt.Printf("%s: %d tests named, %d of them missing\n", document, len(names), len(faults))
	return faults
}
