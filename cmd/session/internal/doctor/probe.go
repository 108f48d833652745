package doctor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/holdfast-go/session"
)

// probes are the checks that write to a store.
type probes struct {
	Config
	store session.Store
}

// probeLife is the time after which the server removes a probe if doctor is
// killed.
const probeLife = time.Minute

// newID returns a UUID of a version (RFC 9562, section 5). It begins with the
// time, as the IDs of sessions do.
func newID(version byte) (id session.ID) {
	rand.Read(id[6:])
	ms := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint16(id[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80
	return id
}

// probeKey is the key of a probe's only value.
const probeKey = "doctor"

// newProbe returns a record of nobody that no token opens.
func newProbe() *session.Record {
	now := time.Now().UTC().Truncate(time.Millisecond)
	verifier := make([]byte, 32)
	rand.Read(verifier)
	return &session.Record{
		Info: session.Info{
			ID: newID(7), CreatedAt: now, LastSeenAt: now,
			ExpiresAt: now.Add(probeLife), Deadline: now.Add(probeLife),
		},
		Verifier: verifier,
		Values:   map[string]session.Value{probeKey: {Data: []byte("1"), Version: 1}},
	}
}

// remove deletes a probe, even if ctx has ended, and checks that it is gone.
func (e *probes) remove(ctx context.Context, id session.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := e.store.Delete(ctx, id); err != nil {
		return err
	}
	_, err := e.store.Load(ctx, id)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return nil
	case err == nil:
		return errors.New("the probe is still stored after its deletion")
	}
	return err
}
