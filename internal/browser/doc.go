// Package browser holds the tests that drive the demo's page in a real browser. It is a module of its own, so that
// nothing of it is in the module graph of those who use the library.
//
//	go test -C internal/browser .                                  needs chromium: in PATH, or CHROMIUM names it
//	go test -C internal/browser . -picture ../../docs/demo.png     makes the README's picture anew
package browser
