package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// outage is the time for which the button takes the database away.
const outage = 5 * time.Second

const keptRequests = 30

// newControls serves the page's buttons for the replicas and the database, and their state. It is not part of the app.
func newControls(s *supervisor) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /demo/kill", s.handleKill)
	mux.HandleFunc("POST /demo/outage", s.handleOutage)
	mux.HandleFunc("GET /demo/state", s.handleState)
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *supervisor) handleKill(w http.ResponseWriter, r *http.Request) {
	name := r.PostFormValue("replica")
	for _, rep := range s.replicas {
		if name == rep.name || name == "both" {
			rep.kill()
		}
	}
	back(w, r, "killed", "replicas")
}

func (s *supervisor) handleOutage(w http.ResponseWriter, r *http.Request) {
	if s.gate == nil {
		http.Error(w, "This database is not behind the demo's gate: it cannot be taken away.", http.StatusConflict)
		return
	}
	s.gate.shut(outage)
	back(w, r, "outage", "replicas")
}

func (s *supervisor) handleState(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s.state()) // an error means a lost client
}

// state is the state of everything around the app, for the page.
type state struct {
	Engine   string         `json:"engine"`
	CanShut  bool           `json:"canShut"`
	AwayFor  float64        `json:"awayFor"` // seconds until the database is back; zero while it is there
	Database string         `json:"databaseText"`
	Replicas []replicaState `json:"replicas"`
	Requests []request      `json:"requests"` // latest first
}

type replicaState struct {
	Name   string `json:"name"`
	Up     bool   `json:"up"`
	PID    int    `json:"pid"`
	Starts int    `json:"starts"`
	Text   string `json:"text"`
}

func (s *supervisor) state() state {
	st := state{Engine: s.server.Engine, CanShut: s.gate != nil, Requests: s.requests.list()}
	st.Database = "answers"
	if s.gate != nil {
		if st.AwayFor = s.gate.away().Seconds(); st.AwayFor > 0 {
			st.Database = fmt.Sprintf("away for another %.0f s", math.Ceil(st.AwayFor))
		}
	}
	for _, r := range s.replicas {
		st.Replicas = append(st.Replicas, r.state())
	}
	return st
}

func (r *replica) state() replicaState {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := replicaState{Name: r.name, Up: r.addr != "", PID: r.proc.pid(), Starts: r.starts}
	switch {
	case !st.Up:
		st.Text = "dead, to be started again"
	case st.Starts == 1:
		st.Text = fmt.Sprintf("runs as process %d", st.PID)
	default:
		st.Text = fmt.Sprintf("runs as process %d, the %s since the start", st.PID, ordinal(st.Starts))
	}
	return st
}

func ordinal(n int) string {
	switch {
	case n%100/10 != 1 && n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%100/10 != 1 && n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%100/10 != 1 && n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// request is the cost of one request, from the headers of its response.
type request struct {
	Number  int         `json:"number"`
	Time    string      `json:"time"`
	Replica string      `json:"replica"`
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Status  int         `json:"status"`
	Ops     []operation `json:"ops"`
}

// operation is one call of the session store.
type operation struct {
	Name    string  `json:"name"`
	Millis  float64 `json:"millis"`
	Outcome string  `json:"outcome"` // empty if it succeeded
	Failed  bool    `json:"failed"`  // the outcome is a failure, not an expected answer such as "not found"
}

// requestLog holds the latest requests.
type requestLog struct {
	mu    sync.Mutex
	count int
	last  []request
}

func (l *requestLog) add(res *http.Response) {
	req := res.Request
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	l.last = append(l.last, request{
		Number: l.count, Time: time.Now().Format("15:04:05"),
		Replica: res.Header.Get(replicaHeader), Method: req.Method, Path: req.URL.Path, Status: res.StatusCode,
		Ops: parseTiming(res.Header.Get(timingHeader)),
	})
	if len(l.last) > keptRequests {
		l.last = slices.Delete(l.last, 0, len(l.last)-keptRequests)
	}
}

func (l *requestLog) list() []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := slices.Clone(l.last)
	slices.Reverse(last)
	return last
}

// parseTiming parses the header of timing.
func parseTiming(header string) []operation {
	ops := []operation{}
	for item := range strings.SplitSeq(header, ",") {
		name, parameters, ok := strings.Cut(strings.TrimSpace(item), ";dur=")
		if !ok {
			continue
		}
		duration, description, _ := strings.Cut(parameters, ";desc=")
		ms, _ := strconv.ParseFloat(duration, 64)
		outcome := strings.Trim(description, `"`)
		ops = append(ops, operation{name, ms, outcome, outcome == failed})
	}
	return ops
}
