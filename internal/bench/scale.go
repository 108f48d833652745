package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

// population is a collection with a given number of sessions, five per user.
type population struct {
	store  *mongostore.Store
	ids    []session.ID
	active []int // indexes in ids of the active sessions; nil means all
	model  model
	seen   time.Time
}

const perUser = 5

// noTTL has the same index without TTL. The monitor of this server reads every
// document once a minute, while MongoDB reads only the due entries of the
// index.
const noTTL = mongostore.ExpirySweep

// model is the document of a record as the library writes it. Copies with a
// different _id, user and verifier are the only way to create a million
// sessions.
type model struct {
	raw                         bson.Raw
	id, user, verifier, expires int // their offsets in the document
}

const userForm = "user-%09d"

func newPopulation(ctx context.Context, db *mongo.Database, name string, expiry mongostore.Expiry) (*population, error) {
	store, err := mongostore.OpenCollection(ctx, db.Collection(name), mongostore.WithExpiry(expiry))
	if err != nil {
		return nil, err
	}
	if err := store.Close(ctx); err != nil { // this ends only the sweep
		return nil, err
	}
	rec := newRecord(randomID(), fmt.Sprintf(userForm, 0))
	if err := store.Insert(ctx, rec); err != nil {
		return nil, err
	}
	raw, err := store.Collection().FindOne(ctx, bson.D{}).Raw()
	if err != nil {
		return nil, err
	}
	if err := store.Delete(ctx, rec.ID); err != nil {
		return nil, err
	}
	find := func(what []byte) int { return bytes.Index(raw, what) }
	m := model{raw, find(rec.ID[:]), find([]byte(rec.User)), find(rec.Verifier), find([]byte("expires\x00")) + len("expires\x00")}
	return &population{store: store, model: m, seen: rec.LastSeenAt}, nil
}

func (m model) document(id session.ID, user int) bson.Raw {
	doc := slices.Clone(m.raw)
	copy(doc[m.id:], id[:])
	copy(doc[m.user:], fmt.Sprintf(userForm, user))
	for i := range 4 {
		binary.LittleEndian.PutUint64(doc[m.verifier+8*i:], rand.Uint64())
	}
	return doc
}

// newID returns a UUIDv7, as the library does.
func newID() session.ID {
	id := randomID()
	ms := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint16(id[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// fill adds n sessions and returns the time of each batch of a thousand.
func (p *population) fill(ctx context.Context, n int, id func() session.ID) (took []float64, err error) {
	for len(took)*1000 < n {
		size := min(1000, n-len(took)*1000)
		docs := make([]any, size)
		for i := range docs {
			next := id()
			docs[i] = p.model.document(next, len(p.ids)/perUser)
			p.ids = append(p.ids, next)
		}
		start := time.Now()
		if _, err := p.store.Collection().InsertMany(ctx, docs); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start)))
		if len(took)%500 == 0 { // progress, as this may take an hour
			fmt.Fprintf(os.Stderr, "%s: %d of %d sessions added\n", time.Now().Format(time.TimeOnly), len(took)*1000, n)
		}
	}
	return took, nil
}

// visitors is the number of active sessions if not all are active.
const visitors = 10_000

// settle makes only some of the sessions active from now on. The server then
// has them in its cache.
func (p *population) settle(ctx context.Context) error {
	p.active = rand.Perm(len(p.ids))[:min(visitors, len(p.ids))]
	for _, i := range p.active {
		if _, err := p.store.Load(ctx, p.ids[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *population) any() int {
	if p.active == nil {
		return rand.IntN(len(p.ids))
	}
	return p.active[rand.IntN(len(p.active))]
}

func (p *population) anyID() session.ID { return p.ids[p.any()] }

// operations are the commands of a session to the server.
var operations = []struct {
	name string
	do   func(ctx context.Context, p *population) error
}{
	{"load", func(ctx context.Context, p *population) error {
		_, err := p.store.Load(ctx, p.anyID())
		return err
	}},
	{"save", func(ctx context.Context, p *population) error {
		v := session.Value{Data: []byte(`"` + newName() + `"`), Version: rand.Int64()}
		return p.store.Update(ctx, p.anyID(), &session.Change{Set: map[string]session.Value{smallName: v}})
	}},
	{"touch", func(ctx context.Context, p *population) error {
		now := time.Now()
		return p.store.Update(ctx, p.anyID(), &session.Change{
			If:         session.Guard{SeenBefore: now.Add(time.Hour)}, // a touch is always due
			LastSeenAt: now, ExpiresAt: now.Add(14 * 24 * time.Hour),
		})
	}},
	{"list by user", func(ctx context.Context, p *population) error {
		infos, err := p.store.List(ctx, fmt.Sprintf(userForm, p.any()/perUser))
		if err == nil && len(infos) != perUser {
			err = fmt.Errorf("listed %d sessions of a user, not %d", len(infos), perUser)
		}
		return err
	}},
}

// latencies runs an operation n times and returns the sorted times.
func (p *population) latencies(ctx context.Context, n int, do func(context.Context, *population) error) ([]float64, error) {
	took := make([]float64, n)
	for i := range took {
		start := time.Now()
		if err := do(ctx, p); err != nil {
			return nil, err
		}
		took[i] = float64(time.Since(start))
	}
	slices.Sort(took)
	return took, nil
}

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// growth compares collections of different sizes with each other.
func growth(ctx context.Context, out io.Writer, c *config, uri string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	db := client.Database("app")
	sizes, n, each := []int{10_000}, c.rounds(15), 200
	for size := 100_000; size <= c.largest; size *= 10 {
		sizes = append(sizes, size)
	}
	if c.short {
		sizes, n, each = []int{1000, 4000}, 2, 20
	}
	var all []*population
	for _, size := range sizes {
		p, err := newPopulation(ctx, db, fmt.Sprint("sessions_", size), noTTL)
		if err != nil {
			return err
		}
		if _, err := p.fill(ctx, size, newID); err != nil {
			return err
		}
		all = append(all, p)
	}
	fmt.Fprint(out, "All sessions are active:\n\n")
	if err := compare(ctx, out, all, n, each); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d sessions of each collection are active:\n\n", visitors)
	for _, p := range all {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	if err := compare(ctx, out, all, n, each); err != nil {
		return err
	}
	fmt.Fprintln(out)
	t := newTable(out, "sessions", "bytes of BSON each", "_id index, bytes each", "TTL index", "user index")
	for _, p := range all {
		if len(p.ids) > 1_000_000 {
			break // to count, this server reads all documents into memory
		}
		s, err := statsOf(ctx, p.store.Collection())
		if err != nil {
			return err
		}
		t.row(append([]string{fmt.Sprint(len(p.ids))}, s.perSession(len(p.ids))...)...)
	}
	return t.end()
}

// compare runs each operation on each collection in several rounds.
func compare(ctx context.Context, out io.Writer, all []*population, n, each int) error {
	head := []string{"p50 (p99) of", "ratio of p50, largest to smallest"}
	for i, p := range all {
		head = slices.Insert(head, i+1, fmt.Sprint(len(p.ids), " sessions"))
	}
	t := newTable(out, head...)
	// Each round covers all collections and operations. After so many writes
	// the server runs checkpoints and evictions for a while.
	type times struct{ p50s, p99s []float64 }
	took := make([][]times, len(operations))
	for o := range took {
		took[o] = make([]times, len(all))
	}
	for round := range n + 1 {
		for o, op := range operations {
			for i, p := range all {
				sorted, err := p.latencies(ctx, each, op.do)
				if err != nil {
					return fmt.Errorf("%s: %w", op.name, err)
				}
				if at := &took[o][i]; round > 0 { // the first round warms up
					at.p50s, at.p99s = append(at.p50s, quantile(sorted, 0.5)), append(at.p99s, quantile(sorted, 0.99))
				}
			}
		}
	}
	for o, op := range operations {
		cells := []string{op.name}
		for _, at := range took[o] {
			cells = append(cells, fmt.Sprintf("%s (%s)", millis(median(at.p50s)/1000), millis(median(at.p99s)/1000)))
		}
		var ratios []float64
		for round := range n {
			ratios = append(ratios, took[o][len(all)-1].p50s[round]/took[o][0].p50s[round])
		}
		t.row(append(cells, fmt.Sprintf("%.2f", median(ratios)))...)
	}
	return t.end()
}

// stats is the reply of collStats.
type stats struct {
	Size       float64            `bson:"size"`
	IndexSizes map[string]float64 `bson:"indexSizes"`
}

func statsOf(ctx context.Context, coll *mongo.Collection) (s stats, err error) {
	err = coll.Database().RunCommand(ctx, bson.D{{Key: "collStats", Value: coll.Name()}}).Decode(&s)
	return s, err
}

func (s stats) perSession(n int) []string {
	sizes := []float64{s.Size, s.IndexSizes["_id_"], s.IndexSizes["session_expires"], s.IndexSizes["session_user"]}
	cells := make([]string, len(sizes))
	for i, size := range sizes {
		cells[i] = fmt.Sprintf("%.0f", size/float64(n))
	}
	return cells
}

// insertion fills two collections in turn, one with UUIDv7 and one with random
// _id.
func insertion(ctx context.Context, out io.Writer, c *config, uri string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	db := client.Database("app")
	batches := 50
	if c.short {
		batches = 4
	}
	kinds := []struct {
		name string
		id   func() session.ID
	}{{"UUIDv7", newID}, {"random", randomID}}
	var all []*population
	for _, k := range kinds {
		p, err := newPopulation(ctx, db, "inserts_"+k.name, noTTL)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	took := make([][]float64, len(kinds))
	for range batches {
		for i, p := range all {
			t, err := p.fill(ctx, 1000, kinds[i].id)
			if err != nil {
				return err
			}
			took[i] = append(took[i], t...)
		}
	}
	t := newTable(out, "_id", fmt.Sprintf("sessions/s inserted, of %d,000 in batches of 1,000", batches), "the last quarter of them")
	rate := func(list []float64) string { return fmt.Sprintf("%.0f", 1000/(median(list)/float64(time.Second))) }
	for i, k := range kinds {
		t.row(k.name, rate(took[i]), rate(took[i][batches*3/4:]))
	}
	return t.end()
}

// expiry measures loads while the TTL index removes half of the sessions.
func expiry(ctx context.Context, out io.Writer, c *config, uri string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	db := client.Database("app")
	n, each := 100_000, 200
	if c.short {
		n, each = 1000, 20
	}
	p, err := newPopulation(ctx, db, "expiring", mongostore.ExpiryTTL)
	if err != nil {
		return err
	}
	if _, err := p.fill(ctx, n, newID); err != nil {
		return err
	}
	load := operations[0].do
	var before, during []float64
	for range 5 {
		took, err := p.latencies(ctx, each, load)
		if err != nil {
			return err
		}
		before = append(before, took...)
	}
	due, err := p.fillExpired(ctx, n)
	if err != nil {
		return err
	}
	time.Sleep(time.Until(due))
	for deadline := time.Now().Add(20 * time.Minute); ; {
		sample, err := p.latencies(ctx, each, load)
		if err != nil {
			return err
		}
		during = append(during, sample...)
		left, err := p.store.Collection().EstimatedDocumentCount(ctx) // does not read all documents
		if err != nil {
			return err
		}
		if left == int64(n) || c.short { // does not wait for the server
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d expired sessions have not been removed", left-int64(n))
		}
	}
	took := time.Since(due)
	slices.Sort(before)
	slices.Sort(during)
	t := newTable(out, "load", "p50", "p99", "slowest")
	for _, r := range []struct {
		name string
		took []float64
	}{
		{"before", before},
		{fmt.Sprintf("from when %d of %d sessions were due until they were gone (%v)", n, 2*n, took.Round(100*time.Millisecond)), during},
	} {
		t.row(r.name, millis(quantile(r.took, 0.5)/1000), millis(quantile(r.took, 0.99)/1000), millis(quantile(r.took, 1)/1000))
	}
	return t.end()
}

// fillExpired adds sessions and returns the time at which they expire. They
// expire after all of them have been added.
func (p *population) fillExpired(ctx context.Context, n int) (at time.Time, err error) {
	const ttlMargin = 300 * time.Second // as in the index of mongostore
	at = time.Now().Add(time.Duration(n/1000+2) * time.Second)
	due := p.model
	due.raw = slices.Clone(due.raw)
	binary.LittleEndian.PutUint64(due.raw[due.expires:], uint64(at.Add(-ttlMargin).UnixMilli()))
	for range n / 1000 {
		docs := make([]any, 1000)
		for i := range docs {
			docs[i] = due.document(newID(), n+i)
		}
		if _, err := p.store.Collection().InsertMany(ctx, docs); err != nil {
			return at, err
		}
	}
	return at, nil
}
