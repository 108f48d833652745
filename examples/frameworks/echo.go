package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/holdfast-go/session"
)

func withEcho(sessions *session.Manager) http.Handler {
	e := echo.New()
	e.Use(middleware.Recover(), echo.WrapMiddleware(sessions.Wrap)) // in this order
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, greeting(c.Request().Context())) })

	e.GET("/count", echo.WrapHandler(http.HandlerFunc(count)))
	e.POST("/login", echo.WrapHandler(http.HandlerFunc(login)))
	e.GET("/crash", echo.WrapHandler(http.HandlerFunc(crash)))
	e.GET("/fail", func(c echo.Context) error {
		visits.Set(session.FromContext(c.Request().Context()), 7)
		return echo.NewHTTPError(http.StatusTeapot, "the page of echo") // written after Wrap has returned
	})
	return e
}
