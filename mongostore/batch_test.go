package mongostore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// held is a store with batched loads and 8 loads waiting for the server's reply,
// so all slots are taken. The server replies to one find after each send on step,
// and to all after finish.
type held struct {
	*mongostore.Store
	arrived, step chan bool
	loads         sync.WaitGroup
	finish        func()
}

func holdLoads(t *testing.T, opts ...mongostore.Option) *held {
	t.Helper()
	coll, _, relay := relayed(t)
	opts = append(opts, mongostore.WithoutIndexes(), mongostore.WithBatchedLoads())
	h := &held{Store: open(t, coll, opts...), arrived: make(chan bool, 100), step: make(chan bool)}
	require.NoError(t, h.Insert(background, &session.Record{
		Info: session.Info{ID: session.ID{1}}, Verifier: []byte("verifier"),
		Values: map[string]session.Value{"k": {Data: []byte("value"), Version: 1}},
	}))
	relay.handle(func(c *call) bson.Raw {
		if c.name == "find" {
			h.arrived <- true
			<-h.step
		}
		return c.forward()
	})
	h.finish = sync.OnceFunc(func() {
		close(h.step)
		h.loads.Wait()
	})
	t.Cleanup(h.finish)
	for range 8 {
		h.loads.Go(func() { _, _ = h.Load(background, session.ID{1}) })
		<-h.arrived
	}
	return h
}

func (h *held) inFlight(t *testing.T, want int) {
	t.Helper()
	require.Eventually(t, func() bool { return h.InFlight() == want }, 10*time.Second, time.Millisecond,
		"want %d operations in flight, have %d", want, h.InFlight())
}

func TestBatchedLoads_CountTowardsMaxInFlight(t *testing.T) {
	h := holdLoads(t, mongostore.WithMaxInFlight(10))
	h.inFlight(t, 8)
	for range 2 {
		h.loads.Go(func() { _, _ = h.Load(background, session.ID{1}) })
	}
	h.inFlight(t, 10)
	_, err := h.Load(background, session.ID{1})
	require.ErrorContains(t, err, "WithMaxInFlight")
	h.step <- true // frees a slot for the batch
	<-h.arrived
	require.Equal(t, 7+2+1, h.InFlight(), "loads with a slot, loads in the batch, and the batch's command")
	h.finish()
	h.inFlight(t, 0)
}

func TestBatchedLoads_CallersOwnTheirRecords(t *testing.T) {
	h := holdLoads(t)
	recs := make([]*session.Record, 2)
	for i := range recs {
		h.loads.Go(func() { recs[i], _ = h.Load(background, session.ID{1}) })
	}
	h.inFlight(t, 10)
	h.finish()
	recs[0].Verifier[0]++
	recs[0].Values["k"].Data[0]++
	require.Equal(t, "verifier", string(recs[1].Verifier))
	require.Equal(t, "value", string(recs[1].Values["k"].Data))
}
