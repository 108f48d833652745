// Package doctor checks a deployment of package session.
package doctor

import (
	"fmt"
	"strings"
)

// Status is the result of a check.
type Status string

// The results of a check.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failure Status = "failure"
	Skipped Status = "skipped" // the check was not possible; the text gives the reason
)

// Finding is the result of a check.
type Finding struct {
	// Check is the name of the check.
	Check string `json:"check"`

	// Status is the result.
	Status Status `json:"status"`

	// Text describes the finding.
	Text string `json:"text"`

	// Advice tells the reader the fix. It is empty if nothing needs one.
	Advice string `json:"advice,omitempty"`

	// Data has figures for scripts.
	Data any `json:"data,omitempty"`
}

func ok(format string, args ...any) Finding {
	return Finding{Status: OK, Text: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) Finding {
	return Finding{Status: Skipped, Text: fmt.Sprintf(format, args...)}
}

func warning(advice, format string, args ...any) Finding {
	return Finding{Status: Warning, Text: fmt.Sprintf(format, args...), Advice: advice}
}

func failure(advice, format string, args ...any) Finding {
	return Finding{Status: Failure, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// failed returns the finding for an error of the check itself.
func failed(err error) Finding {
	return failure("Find the cause of this error, and run doctor again.", "%v", oneLine(err))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// named sets the name of the check in each finding.
func named(name string, list []Finding) []Finding {
	for i := range list {
		list[i].Check = name
	}
	return list
}

// Worst returns the exit code for findings. It is 2 with a failure, 1 with a
// warning, and otherwise 0.
func Worst(list []Finding) (code int) {
	for _, f := range list {
		switch f.Status {
		case Failure:
			return 2
		case Warning:
			code = 1
		}
	}
	return code
}
