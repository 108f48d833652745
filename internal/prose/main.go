// Command prose counts the words that make sentences hard to read, in the
// comments of Go files and in Markdown. It also measures the functions of the
// public packages:
//
//	go run ./internal/prose
//
// It exits with 1 if a limit is exceeded, if an exported name or field has no
// doc comment that begins with it, or if a function or a file is too long.
// CONTRIBUTING.md explains the limits.
package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// limits are in occurrences per 1,000 words.
var limits = map[string]float64{"what": 1.5, "where": 1.0, "that": 11, "alone": 0.5, "else": 0.5, "none": 0.5}

// maxJoined limits the sentences with a colon or a semicolon, in percent.
const maxJoined = 15.0

func main() {
	ok, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prose:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run() (ok bool, err error) {
	files, err := tracked()
	if err != nil {
		return false, err
	}
	ok = true
	for _, g := range groups(files) {
		var all counts
		for _, file := range g.files {
			text, err := g.read(file)
			if err != nil {
				return false, err
			}
			c := count(text)
			all.add(c)
			if len(os.Args) > 1 { // any argument: a line for each file
				c.print(file)
			}
		}
		ok = all.print(g.name) && ok
	}
	missing, err := undocumented(files)
	if err != nil {
		return false, err
	}
	tooLong, err := sizes(files)
	if err != nil {
		return false, err
	}
	for _, m := range append(missing, tooLong...) {
		fmt.Println(m)
	}
	return ok && len(missing)+len(tooLong) == 0, nil
}

func tracked() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("run it in the project's root: %w", err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(file string) bool {
		_, err := os.Stat(file)
		return err != nil
	}), nil
}

// group is a set of files whose text is counted together.
type group struct {
	name  string
	files []string
	read  func(file string) (string, error)
}

func groups(files []string) []group {
	list := []group{
		{name: "Go comments, public packages", read: comments},
		{name: "Go comments, other", read: comments},
		{name: "Markdown", read: markdown},
	}
	for _, file := range files {
		switch {
		case strings.HasSuffix(file, ".md"):
			list[2].files = append(list[2].files, file)
		case !strings.HasSuffix(file, ".go"):
		case isPublic(file):
			list[0].files = append(list[0].files, file)
		default:
			list[1].files = append(list[1].files, file)
		}
	}
	return list
}

// isPublic reports whether a file belongs to a package that users import.
func isPublic(file string) bool {
	return strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") && !strings.Contains(file, "testdata/") &&
		!strings.HasPrefix(file, "internal/") && !strings.HasPrefix(file, "examples/")
}

// counts is what a text has of words and sentences.
type counts struct {
	words, sentences, joined int
	of                       map[string]int
}

var (
	word     = regexp.MustCompile(`[A-Za-z']+`)
	sentence = regexp.MustCompile(`[.!?](\s|$)|\n\n`)
)

func count(text string) counts {
	c := counts{of: map[string]int{}}
	for _, w := range word.FindAllString(text, -1) {
		c.words++
		if w = strings.ToLower(w); limits[w] > 0 {
			c.of[w]++
		}
	}
	for _, s := range sentence.Split(text, -1) {
		s = strings.TrimRight(strings.TrimSpace(s), ":") // before a list or an example
		if len(word.FindAllString(s, 3)) < 3 {
			continue
		}
		c.sentences++
		if strings.Contains(s, ": ") || strings.Contains(s, ";") || strings.Contains(s, ":\n") {
			c.joined++
		}
	}
	return c
}

func (c *counts) add(o counts) {
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.words += o.words
	c.sentences += o.sentences
	c.joined += o.joined
	for w, n := range o.of {
		c.of[w] += n
	}
}

// print writes the figures and reports whether they are within the limits.
func (c *counts) print(name string) (ok bool) {
	ok = true
	mark := func(value, limit float64) string {
		if value > limit {
			ok = false
			return fmt.Sprintf("%.1f (limit %.1f)", value, limit)
		}
		return fmt.Sprintf("%.1f", value)
	}
	var parts []string
	for _, w := range slices.Sorted(maps.Keys(limits)) {
		parts = append(parts, w+" "+mark(1000*float64(c.of[w])/max(1, float64(c.words)), limits[w]))
	}
	joined := mark(100*float64(c.joined)/max(1, float64(c.sentences)), maxJoined)
	fmt.Printf("%s: %d words; per 1,000: %s; sentences with : or ; %s %% of %d\n",
		name, c.words, strings.Join(parts, ", "), joined, c.sentences)
	return ok
}
