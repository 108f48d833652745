package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
)

const cookieName = "__Host-session"

// visitor is the browser of -check.
type visitor struct {
	url    string
	client *http.Client
	cookie string // sent unchanged if there is no jar
	site   string // Sec-Fetch-Site, or empty
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) ops() []operation { return parseTiming(a.header.Get(timingHeader)) }

func (a answer) replica() string { return a.header.Get(replicaHeader) }

// newVisitor returns a visitor with an empty cookie jar.
func (c *checker) newVisitor() *visitor {
	jar, _ := cookiejar.New(nil) // it never returns an error
	return &visitor{url: c.url, client: c.client(jar)}
}

// replay returns a visitor who sends only this cookie and stores no other.
func (c *checker) replay(value string) *visitor {
	return &visitor{url: c.url, client: c.client(nil), cookie: value}
}

func (c *checker) client(jar http.CookieJar) *http.Client {
	return &http.Client{
		Transport:     c.transport,
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// signedIn returns a visitor who is signed in as user.
func (c *checker) signedIn(ctx context.Context, user string) (*visitor, error) {
	v := c.newVisitor()
	_, err := v.want(http.StatusSeeOther)(v.post(ctx, "/sign-in", "user", user))
	return v, err
}

func (v *visitor) get(ctx context.Context, path string) (answer, error) {
	return v.do(ctx, http.MethodGet, path, nil)
}

// post sends a form. Its arguments alternate between names and values.
func (v *visitor) post(ctx context.Context, path string, form ...string) (answer, error) {
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return v.do(ctx, http.MethodPost, path, strings.NewReader(values.Encode()))
}

func (v *visitor) do(ctx context.Context, method, path string, body io.Reader) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.url+path, body)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.site != "" {
		req.Header.Set("Sec-Fetch-Site", v.site)
	}
	if v.cookie != "" {
		req.Header.Set("Cookie", cookieName+"="+v.cookie)
	}
	res, err := v.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, text}, err
}

// want returns an error if the response has another status.
func (v *visitor) want(status int) func(answer, error) (answer, error) {
	return func(a answer, err error) (answer, error) {
		if err == nil && a.status != status {
			err = fmt.Errorf("answered %d, want %d", a.status, status)
		}
		return a, err
	}
}

// me returns the user and the values of the visitor's session.
func (v *visitor) me(ctx context.Context) (who whoami, a answer, err error) {
	if a, err = v.want(http.StatusOK)(v.get(ctx, "/me")); err == nil {
		err = json.Unmarshal(a.body, &who)
	}
	return who, a, err
}

// token returns the value of the session cookie in the jar.
func (v *visitor) token() string {
	u, _ := url.Parse(v.url)
	for _, c := range v.client.Jar.Cookies(u) {
		if c.Name == cookieName {
			return c.Value
		}
	}
	return ""
}

// slow sends a request, which the app admits at once. The app saves the session and responds after finish is called.
func (v *visitor) slow(ctx context.Context) (finish func() (answer, error), err error) {
	hold, release := io.Pipe()
	admitted := make(chan struct{}, 1)
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error {
			admitted <- struct{}{}
			return nil
		},
	})
	type result struct {
		answer
		error
	}
	done := make(chan result, 1)
	go func() {
		a, err := v.do(traced, http.MethodPost, "/check/slow", hold)
		hold.Close()
		done <- result{a, err}
	}()
	select {
	case <-admitted:
	case r := <-done:
		return nil, fmt.Errorf("the slow request was answered at once: %d %w", r.status, r.error)
	}
	return func() (answer, error) {
		release.Close()
		r := <-done
		return r.answer, r.error
	}, nil
}
