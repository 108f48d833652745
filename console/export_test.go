package console

import (
	"time"

	"github.com/holdfast-go/session"
)

// ObserveAt records an event of an earlier time.
func (r *Recorder) ObserveAt(at time.Time, e session.Event) { r.observeAt(at, e) }

// BeganAt sets the time of the start.
func (r *Recorder) BeganAt(at time.Time) { r.began = at }

// AddCount records a count of an earlier time.
func (r *Recorder) AddCount(at time.Time, signedIn, anonymous int64, failed bool) {
	r.counts.add(count{at, signedIn, anonymous, failed})
}

// Counts returns the number of counts that r keeps.
func (r *Recorder) Counts() int { return len(r.counts) }

// Events returns the number of events that r keeps.
func (r *Recorder) Events() int { return len(r.notable) + len(r.activity) }

// Styles returns the style sheets by name.
func Styles() map[string]string {
	return map[string]string{"console.css": consoleStyle, "devices.css": DevicesStyle}
}

// DeviceOf is deviceOf.
var DeviceOf = deviceOf
