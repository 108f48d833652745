// Package browser tests the page of the demo in a real browser. It is a module of its own, so its dependencies are not
// in the module graph of the library.
//
//	npm --prefix internal/browser ci                               once; needs npm
//	go test -C internal/browser .                                  needs chromium, in PATH or named by CHROMIUM
//	go test -C internal/browser . -picture ../../docs/demo.png     creates the picture of the README again
package browser
