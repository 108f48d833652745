package express

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/backoff"
)

// writer is a [Store] whose sessions can be changed.
type writer interface {
	Store

	// writable reports whether the configuration allows writing.
	writable() bool

	// replace changes a property of the session that was read, and extends it. It
	// returns session.ErrConflict if the session has changed or is gone.
	replace(ctx context.Context, id string, at Stored, c change) error

	// touch extends the session that was read. It returns session.ErrConflict if
	// the session is gone.
	touch(ctx context.Context, id string, at Stored, c cookieOptions) error
}

// change is a change of one property.
type change struct {
	name    string
	value   json.RawMessage // nil to remove it
	guarded bool            // only if the property has the value that was read
	cookie  cookieOptions   // of the session that was read
}

var (
	errReadOnly = errors.New("express: sessions of this store cannot be written; only plain sessions in MongoDB can")
	errNumber   = errors.New("express: Express would round a number of this value; store it as text")
)

// Set sets the property in the stored session and extends the session, as a request
// of Express does. It keeps all other properties byte for byte. [Key.Get] still
// returns the value of s as it was loaded. If concurrent
// requests of Go set the same property, the last write wins. A request of Express
// that is in progress may overwrite the change.
//
// Set returns
//   - [session.ErrNotFound] if the session has ended or does not exist
//   - [session.ErrConflict] if others kept changing the session until the store
//     timeout
//   - [session.ErrUncertain] if the outcome is unknown
//   - [session.ErrUnavailable] if the store failed
//   - another error if v cannot be encoded, if JavaScript would round one of its
//     numbers, if Express reserves the name, or if the store cannot be written
func (k Key[T]) Set(ctx context.Context, s *Session, v T) error {
	value, err := encode(v)
	if err != nil {
		return err
	}
	return s.write(ctx, string(k), false, func(json.RawMessage) (json.RawMessage, error) { return value, nil })
}

// Delete removes the property from the stored session. Otherwise it is like
// [Key.Set].
func (k Key[T]) Delete(ctx context.Context, s *Session) error {
	return s.write(ctx, string(k), false, func(json.RawMessage) (json.RawMessage, error) { return nil, nil })
}

// Update replaces the stored value v with f(v) and returns the new value. If the
// property is absent, f receives the zero T. Concurrent updates of Go are neither
// lost nor applied twice. f may be called several times and must have no other
// effects. Otherwise Update is like [Key.Set].
func (k Key[T]) Update(ctx context.Context, s *Session, f func(T) T) (T, error) {
	var result, zero T
	err := s.write(ctx, string(k), true, func(old json.RawMessage) (json.RawMessage, error) {
		var v T
		if old != nil && json.Unmarshal(old, &v) != nil {
			return nil, fmt.Errorf("express: property %q does not fit into %T", string(k), v)
		}
		result = f(v)
		return encode(result)
	})
	if err != nil {
		return zero, err
	}
	return result, nil
}

// Touch extends the session, as a request of Express does that changes nothing. Its
// errors are those of [Key.Set].
func (s *Session) Touch(ctx context.Context) error {
	return s.retry(ctx, func(ctx context.Context, w writer, at Stored, now *Session) error {
		return w.touch(ctx, s.id, at, now.cookie)
	})
}

// write changes one property of the stored session.
func (s *Session) write(ctx context.Context, name string, guarded bool, f func(old json.RawMessage) (json.RawMessage, error)) error {
	if name == "" || strings.ContainsRune(name, 0) || isReserved(name) {
		return reservedName(name)
	}
	return s.retry(ctx, func(ctx context.Context, w writer, at Stored, now *Session) error {
		old, _ := now.members.get(name)
		value, err := f(old)
		if err != nil {
			return err
		}
		return w.replace(ctx, s.id, at, change{name: name, value: value, guarded: guarded, cookie: now.cookie})
	})
}

func reservedName(name string) error {
	return fmt.Errorf("express: a property cannot be named %q, because Express reserves the name or MongoDB refuses it", name)
}

// retry reads the session and calls f with it, until f does not return
// session.ErrConflict.
func (s *Session) retry(ctx context.Context, f func(ctx context.Context, w writer, at Stored, now *Session) error) error {
	if s.id == "" {
		return session.ErrNotFound
	}
	w, ok := s.x.store.(writer)
	if !ok || !w.writable() {
		return errReadOnly
	}
	sctx, cancel := s.x.storeContext(ctx)
	defer cancel()
	for try := 0; ; try++ {
		now, err := s.x.read(sctx, s.id)
		if err != nil {
			return err
		}
		err = f(sctx, w, now.stored, now)
		if !errors.Is(err, session.ErrConflict) || !backoff.Wait(sctx, try, 100*time.Millisecond) {
			return err
		}
	}
}

// encode returns v as JSON text for Express.
func encode(v any) (json.RawMessage, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("express: cannot encode the value: %w", err)
	}
	text := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	return text, checkNumbers(text)
}
