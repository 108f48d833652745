package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// proveDump measures figure 9. It searches the database, the files on disk, the
// logs of the apps and all response bodies of a chaos run for every issued
// token.
func proveDump(ctx context.Context, r *run) error {
	if r.chaos == nil {
		c, err := r.runChaos(ctx, r.size(20, 4), r.size(40, 8), 32)
		if err != nil {
			return err
		}
		r.chaos = c
	}
	c := r.chaos
	s := newSearch()
	for cookie := range c.cookies {
		if err := s.learn(cookie); err != nil {
			return err
		}
	}
	texts, err := c.texts()
	if err != nil {
		return err
	}
	size, found := 0, 0
	for name, text := range texts {
		size += len(text)
		if n := s.count(text); n > 0 {
			found += n
			r.say("%s contains %d", name, n)
		}
	}
	r.say("%d tokens in %d forms searched for in %d texts, %d bytes: %d found", len(c.cookies), s.forms, len(texts), size, found)
	if err := s.checkItself(c); err != nil {
		return err
	}
	f := new(failures)
	f.zero("tokens or secrets found", found)
	return f.err()
}

// texts returns all data left by the run, by name.
func (c *chaosTrace) texts() (map[string][]byte, error) {
	texts := map[string][]byte{"the dump": c.dump, "the bodies": []byte(c.bodies.String())}
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		texts[strings.TrimPrefix(path, c.dir)] = b
		return err
	})
	if len(c.dump) == 0 {
		return nil, fmt.Errorf("the dump is empty")
	}
	return texts, err
}

// search finds many patterns in one pass, using the first bytes of each.
type search struct {
	patterns map[[prefixLen]byte][][]byte
	forms    int
}

const prefixLen = 12

func newSearch() *search { return &search{patterns: make(map[[prefixLen]byte][][]byte)} }

// learn adds a cookie, its token and the token's secret, in every form likely
// in a log or a document.
func (s *search) learn(cookie string) error {
	token := tokenOf(cookie)
	if token == nil {
		return fmt.Errorf("a cookie without a token: %d bytes", len(cookie))
	}
	s.add([]byte(cookie))
	forms := 1
	for _, b := range [][]byte{token, token[16:]} {
		for _, form := range formsOf(b) {
			s.add(form)
			forms++
		}
	}
	s.forms = forms
	return nil
}

// formsOf omits the last digits of base64, because they depend on padding.
func formsOf(b []byte) [][]byte {
	lower := hex.EncodeToString(b)
	whole := len(b) / 3 * 3
	return [][]byte{
		b,
		[]byte(lower), []byte(strings.ToUpper(lower)),
		[]byte(base64.StdEncoding.EncodeToString(b[:whole])),
		[]byte(base64.URLEncoding.EncodeToString(b[:whole])),
		[]byte(fmt.Sprint(b)), // the format of fmt for a slice
	}
}

func (s *search) add(pattern []byte) {
	key := [prefixLen]byte(pattern)
	s.patterns[key] = append(s.patterns[key], pattern)
}

func (s *search) count(text []byte) (n int) {
	for i := 0; i+prefixLen <= len(text); i++ {
		for _, p := range s.patterns[[prefixLen]byte(text[i:])] {
			if bytes.HasPrefix(text[i:], p) {
				n++
			}
		}
	}
	return n
}

// checkItself plants one token in each form and requires the search to find it.
func (s *search) checkItself(c *chaosTrace) error {
	for cookie := range c.cookies {
		token := tokenOf(cookie)
		for _, form := range append(formsOf(token), formsOf(token[16:])...) {
			if s.count(bytes.Join([][]byte{c.dump, form, c.dump}, nil)) == 0 {
				return fmt.Errorf("the search does not find a planted token")
			}
		}
		return nil
	}
	return fmt.Errorf("no token was issued")
}
