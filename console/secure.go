package console

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed console.css
var consoleStyle string

// DevicesStyle is the style sheet of [Devices]. A page with [Devices.Fragment] can
// include it or define the same classes.
//
//go:embed devices.css
var DevicesStyle string

// styleElement returns the style element of a page. Its hash is in the
// Content-Security-Policy of [secure].
func styleElement(css string) template.HTML { return template.HTML("<style>" + css + "</style>") }

// secure sets the headers of every response. A page loads nothing and runs no
// script, and its style is the one with this hash.
func secure(w http.ResponseWriter, css string) {
	sum := sha256.Sum256([]byte(css))
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; img-src data:; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

// refuse responds with a line of text.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // an error means a lost client
}
