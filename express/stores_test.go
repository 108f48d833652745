package express_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
)

// hooked is a store of Express that calls functions before and after each operation.
type hooked struct {
	express.Store
	before func(op string) error // fixed; otherwise set by set
	hook   atomic.Pointer[func(op string) error]
	later  atomic.Pointer[func(op string)]
}

func (h *hooked) set(f func(op string) error) {
	if f == nil {
		h.hook.Store(nil)
		return
	}
	h.hook.Store(&f)
}

func (h *hooked) after(f func(op string)) { h.later.Store(&f) }

func (h *hooked) call(op string) error {
	if f := h.hook.Load(); f != nil {
		return (*f)(op)
	}
	if h.before != nil {
		return h.before(op)
	}
	return nil
}

func (h *hooked) done(op string) {
	if f := h.later.Load(); f != nil {
		(*f)(op)
	}
}

func (h *hooked) Load(ctx context.Context, id string) (express.Stored, error) {
	if err := h.call("Load"); err != nil {
		return express.Stored{}, err
	}
	defer h.done("Load")
	return h.Store.Load(ctx, id)
}

func (h *hooked) Mark(ctx context.Context, id string, m express.Mark) (express.Mark, error) {
	if err := h.call("Mark"); err != nil {
		return express.MarkNone, err
	}
	return h.Store.Mark(ctx, id, m)
}

func (h *hooked) Delete(ctx context.Context, id string) error {
	if err := h.call("Delete"); err != nil {
		return err
	}
	return h.Store.Delete(ctx, id)
}

func (h *hooked) Sample(ctx context.Context) ([]express.Stored, error) {
	if err := h.call("Sample"); err != nil {
		return nil, err
	}
	return h.Store.Sample(ctx)
}

// failingStore is a store of Go in which one step fails.
type failingStore struct {
	session.Store
	step atomic.Pointer[string] // nil without one
}

// fails reports whether an operation fails, and whether it is carried out before.
func (f *failingStore) fails(op string) (fails, applied bool) {
	step := f.step.Load()
	if step == nil {
		return false, false
	}
	name, ok := strings.CutPrefix(*step, "go ")
	name, applied = strings.CutSuffix(name, ", applied")
	return ok && name == op, applied
}

var errLost = errors.Join(errDown, session.ErrUncertain)

func (f *failingStore) Load(ctx context.Context, id session.ID) (*session.Record, error) {
	// The import looks for its own record first, and then for revocations.
	rec, err := f.Store.Load(ctx, id)
	op := "Load"
	if errors.Is(err, session.ErrNotFound) && id != imported {
		op = "Load of revocations"
	}
	if fails, _ := f.fails(op); fails {
		return nil, errDown
	}
	return rec, err
}

func (f *failingStore) Insert(ctx context.Context, rec *session.Record) error {
	fails, applied := f.fails("Insert")
	if !fails {
		return f.Store.Insert(ctx, rec)
	}
	if !applied {
		return errDown
	}
	f.step.Store(nil)
	if err := f.Store.Insert(ctx, rec); err != nil {
		return err
	}
	return errLost
}

func (f *failingStore) Update(ctx context.Context, id session.ID, ch *session.Change) error {
	if fails, _ := f.fails("Update"); fails {
		return errDown
	}
	return f.Store.Update(ctx, id, ch)
}

// importedID returns the ID of the session that continues the Express session id.
func importedID() session.ID {
	sum := sha256.Sum256([]byte("holdfast session: import\x00express\x00connect.sid\x00" + id))
	imported := session.ID(sum[:16])
	imported[6] = imported[6]&0x0f | 0x80
	imported[8] = imported[8]&0x3f | 0x80
	return imported
}
