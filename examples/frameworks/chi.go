package main

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/holdfast-go/session"
)

func withChi(sessions *session.Manager) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer, sessions.Wrap) // in this order
	r.Get("/", hello)

	r.Get("/count", count)
	r.Post("/login", login)
	r.Get("/crash", crash)
	return r
}
