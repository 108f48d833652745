package console

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/holdfast-go/session"
)

// end ends one session.
func (q *request) end() {
	id, err := session.ParseID(q.r.PostFormValue("id"))
	if err != nil {
		q.problem(http.StatusBadRequest, "This is not the ID of a session.")
		return
	}
	user, err := q.endSession(id)
	done := "ended"
	switch {
	case errors.Is(err, session.ErrNotFound):
		done, user = "gone", q.r.PostFormValue("user")
	case err != nil:
		q.storeFailed(err)
		return
	default:
		q.log.InfoContext(q.r.Context(), "console: operator ended a session", "operator", q.operator, "user", user, "session", id)
	}
	if user == "" { // an anonymous session
		q.redirect("session", url.Values{"id": {id.String()}, "done": {done}})
		return
	}
	q.redirect("user", url.Values{"name": {user}, "done": {done}})
}

// endSession ends the session with an ID and returns its user. A session of a user
// is revoked, so a sign-in in progress is stopped too.
func (q *request) endSession(id session.ID) (user string, err error) {
	ctx := q.r.Context()
	s, err := q.sessions.LoadID(ctx, id)
	if err != nil {
		return "", err
	}
	if user = s.User(); user != "" {
		return user, q.sessions.Revoke(ctx, user, id)
	}
	s.SignOut()
	return "", s.Save(ctx)
}

// endAll ends all sessions of a user.
func (q *request) endAll() {
	user := q.r.PostFormValue("user")
	if !isUser(user) {
		q.problem(http.StatusBadRequest, "This is not the name of a user.")
		return
	}
	n, err := q.sessions.RevokeAll(q.r.Context(), user)
	if n > 0 || err == nil {
		q.log.InfoContext(q.r.Context(), "console: operator ended all sessions of a user", "operator", q.operator, "user", user, "sessions", n)
	}
	if err != nil {
		q.storeFailed(err)
		return
	}
	q.redirect("user", url.Values{"name": {user}, "done": {"all"}, "n": {strconv.Itoa(n)}})
}
