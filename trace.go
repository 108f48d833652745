package session

import (
	"context"
	"errors"
)

// Tracer is called when an [Operation] starts and when it ends, for spans and
// metrics. It is set by [WithTracer]. A Tracer is safe for concurrent use. It may
// read the request's session but must not change it.
type Tracer interface {
	// Start returns the context of the operation. The operations inside it and
	// the store get this context or one derived from it.
	Start(ctx context.Context, op Operation) context.Context

	// End is called once for each Start, with the context that Start has
	// returned.
	End(ctx context.Context, r Result)
}

// OperationKind is the kind of an [Operation].
type OperationKind string

// The kinds of operations. The last five are calls of the store.
const (
	OperationAdmit  OperationKind = "admit"  // the admission of a request, in Wrap or Load
	OperationCommit OperationKind = "commit" // a commit or Save, unless the request has neither a session nor changes
	OperationLoad   OperationKind = "load"   // Load or Confirm
	OperationInsert OperationKind = "insert" // Insert
	OperationUpdate OperationKind = "update" // Update
	OperationDelete OperationKind = "delete" // Delete
	OperationList   OperationKind = "list"   // List
)

// Operation describes an operation at its start.
type Operation struct {
	Kind    OperationKind // kind of the operation
	Tokens  int           // number of tokens in the request, valid or not, at an OperationAdmit; otherwise zero
	Changes bool          // whether there are changes to store, at an OperationCommit; otherwise false
}

// Outcome is the outcome of an [Operation]. It can be used as the value of a
// label in metrics.
type Outcome string

// The outcomes of an admission. If a request has several tokens, the first of
// these that one of them has is the outcome.
const (
	AdmissionUnavailable Outcome = "unavailable" // the store has failed
	AdmissionCurrent     Outcome = "current"     // a token of a live session
	AdmissionSuperseded  Outcome = "superseded"  // a token replaced within the last 30 seconds
	AdmissionExpired     Outcome = "expired"     // a token of a session that has expired and is still stored
	AdmissionStale       Outcome = "stale"       // a token replaced earlier
	AdmissionNotFound    Outcome = "not_found"   // a token of a session that is not stored
	AdmissionForged      Outcome = "forged"      // no token with a valid signature
	AdmissionNone        Outcome = "none"        // no token
)

// The outcomes of a commit. Calls of the store have OutcomeOK or one of the last
// ones. See the error of the same name.
const (
	OutcomeUnchanged     Outcome = "unchanged"     // no change was pending
	OutcomeStored        Outcome = "stored"        // the changes are stored
	OutcomeSuperseded    Outcome = "superseded"    // ErrSuperseded
	OutcomeRevoked       Outcome = "revoked"       // ErrRevoked
	OutcomeCrossSite     Outcome = "cross_site"    // ErrCrossSite
	OutcomeOutsidePath   Outcome = "outside_path"  // ErrOutsidePath
	OutcomeUndeliverable Outcome = "undeliverable" // ErrUndeliverable
	OutcomeOK            Outcome = "ok"            // no error, at a call of the store
	OutcomeNotFound      Outcome = "not_found"     // ErrNotFound
	OutcomeConflict      Outcome = "conflict"      // ErrConflict
	OutcomeTooLarge      Outcome = "too_large"     // ErrTooLarge
	OutcomeUncertain     Outcome = "uncertain"     // ErrUncertain
	OutcomeError         Outcome = "error"         // any other error
)

// Result describes the end of an [Operation].
type Result struct {
	Operation
	Outcome Outcome // how it ended
	Size    int     // bytes of the session's data, as in WithMaxSize, if the outcome is OutcomeStored; otherwise zero
	Err     error   // the error returned; nil if there is none
}

// WithTracer adds a Tracer. It may be given several times. The context of one
// Tracer is the parent of the next one's. The default is no Tracer.
func WithTracer(t Tracer) Option {
	return func(c *config) {
		switch {
		case t == nil:
			c.addError("WithTracer(nil): leave the option out")
		case c.tracer == nil:
			c.tracer = t
		default:
			c.tracer = bothTracers{c.tracer, t}
		}
	}
}

// bothTracers calls one Tracer inside another.
type bothTracers struct{ outer, inner Tracer }

// bothContext is the context of the inner Tracer with the one of the outer.
type bothContext struct {
	context.Context
	outer context.Context
}

func (b bothTracers) Start(ctx context.Context, op Operation) context.Context {
	outer := b.outer.Start(ctx, op)
	return &bothContext{b.inner.Start(outer, op), outer}
}

func (b bothTracers) End(ctx context.Context, r Result) {
	c := ctx.(*bothContext)
	b.inner.End(c.Context, r)
	b.outer.End(c.outer, r)
}

// step is an operation in progress.
type step struct {
	tracer Tracer
	ctx    context.Context
	op     Operation
	ended  bool
}

// start starts an operation. The caller uses the context of the step. There is
// a Tracer.
func (m *Manager) start(ctx context.Context, op Operation) step {
	return step{tracer: m.tracer, ctx: m.tracer.Start(ctx, op), op: op}
}

func (s *step) end(out Outcome, size int, err error) {
	s.ended = true
	s.tracer.End(s.ctx, Result{s.op, out, size, err})
}

// abandon ends the step if the store has panicked.
func (s *step) abandon() {
	if !s.ended {
		s.end(OutcomeError, 0, nil)
	}
}

// admitTraced is admit for a request from which this number of tokens was
// received. tokens holds the ones with a valid signature.
func (m *Manager) admitTraced(ctx context.Context, s *Session, received int, tokens []token) error {
	if m.tracer == nil {
		_, err := m.admit(ctx, s, tokens)
		return err
	}
	step := m.start(ctx, Operation{Kind: OperationAdmit, Tokens: received})
	defer step.abandon()
	out, err := m.admit(step.ctx, s, tokens)
	if out == AdmissionNone && received > 0 {
		out = AdmissionForged
	}
	step.end(out, 0, err)
	return err
}

// traceCommit runs commit, which stores the pending changes. The caller holds
// turn.
func (s *Session) traceCommit(ctx context.Context, commit func(context.Context) error) error {
	if s.m.tracer == nil {
		return commit(ctx)
	}
	changes := s.pend.invalid != nil || s.dirty()
	if !changes && s.rec == nil {
		return commit(ctx)
	}
	step := s.m.start(ctx, Operation{Kind: OperationCommit, Changes: changes})
	defer step.abandon()
	err := commit(step.ctx)
	out, size := outcomeOf(err), 0
	switch {
	case err != nil:
	case !changes:
		out = OutcomeUnchanged
	default:
		out = OutcomeStored
		if s.rec != nil {
			size = dataSize(s.rec.Values)
		}
	}
	step.end(out, size, err)
	return err
}

// outcomeOf returns the outcome of a commit or a call of the store that has
// returned err. ErrUncertain comes first, because it may wrap the text of
// another error, and ErrUndeliverable, because it may be joined to one.
func outcomeOf(err error) Outcome {
	if err == nil {
		return OutcomeOK
	}
	for _, c := range outcomes {
		if errors.Is(err, c.err) {
			return c.is
		}
	}
	return OutcomeError
}

var outcomes = [...]struct {
	err error
	is  Outcome
}{
	{ErrUndeliverable, OutcomeUndeliverable},
	{ErrUncertain, OutcomeUncertain},
	{ErrNotFound, OutcomeNotFound},
	{ErrConflict, OutcomeConflict},
	{ErrSuperseded, OutcomeSuperseded},
	{ErrRevoked, OutcomeRevoked},
	{ErrCrossSite, OutcomeCrossSite},
	{ErrOutsidePath, OutcomeOutsidePath},
	{ErrTooLarge, OutcomeTooLarge},
}
