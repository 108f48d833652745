package main

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/holdfast-go/session"
)

func withGin(sessions *session.Manager) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.CustomRecovery(discard))
	router.GET("/", func(c *gin.Context) { c.String(http.StatusOK, greeting(c.Request.Context())) })

	router.GET("/count", gin.WrapF(count))
	router.POST("/login", gin.WrapF(login))
	router.GET("/crash", gin.WrapF(crash))
	router.GET("/fail", func(c *gin.Context) {
		visits.Set(session.FromContext(c.Request.Context()), 7)
		_ = c.AbortWithError(http.StatusTeapot, errors.New("the page of gin"))
	})
	return sessions.Wrap(router)
}

// gin's own recoverer is inside Wrap, where a panic does not reach it: what the handler changed must be discarded.
func discard(c *gin.Context, _ any) {
	session.FromContext(c.Request.Context()).Discard()
	c.AbortWithStatus(http.StatusInternalServerError)
}
