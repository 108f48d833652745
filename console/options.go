package console

import (
	"errors"
	"log/slog"
	"net/http"
)

// Option sets an option of [New] or [NewDevices].
type Option func(*options)

type options struct {
	recorder *Recorder
	log      *slog.Logger
	texts    func(*http.Request) Texts
	errs     []error
}

func optionsOf(opts []Option) (options, error) {
	o := options{log: slog.Default(), texts: func(*http.Request) Texts { return English() }}
	for _, opt := range opts {
		opt(&o)
	}
	return o, errors.Join(o.errs...)
}

// WithRecorder sets the Recorder whose store calls and events a [Console] shows. The
// default is to show neither. The Manager must report to the Recorder too, see
// [Recorder.Observe]. [Devices] have no use for a Recorder.
func WithRecorder(rec *Recorder) Option {
	return func(o *options) {
		o.recorder = rec
		if rec == nil {
			o.errs = append(o.errs, errors.New("console: WithRecorder(nil): leave the option out"))
		}
	}
}

// WithLogger sets the logger for errors of the store and for the sessions that an
// operator ends. The default is [slog.Default].
func WithLogger(log *slog.Logger) Option {
	return func(o *options) {
		o.log = log
		if log == nil {
			o.errs = append(o.errs, errors.New("console: WithLogger(nil): leave the option out"))
		}
	}
}

// WithTexts sets the words of [Devices] for a request, for example in the language
// of the user. The default is [English]. A [Console] is always in English.
func WithTexts(texts func(*http.Request) Texts) Option {
	return func(o *options) {
		o.texts = texts
		if texts == nil {
			o.errs = append(o.errs, errors.New("console: WithTexts(nil): leave the option out"))
		}
	}
}
