package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/cmd/session/internal/backend"
	"github.com/holdfast-go/session/internal/testserver"
	"github.com/holdfast-go/session/mongostore"
)

const day = 24 * time.Hour

// populate stores sessions of known ages: 3 of ann, 1 of bob, 2 visitors, 2
// expired ones and a marker.
func (s *site) populate(t *testing.T) {
	t.Helper()
	s.insert(t, "ann", 30*time.Second, 10*time.Second, -day)
	s.insert(t, "ann", 2*time.Hour, 90*time.Minute, -day)
	s.insert(t, "ann", 20*day, 8*day, -day)
	s.insert(t, "bob", 40*day, 3*day, -day)
	s.insert(t, "", 20*time.Second, 20*time.Second, -day)
	s.insert(t, "", 5*day, 5*day, -day)
	s.insert(t, "ann", day, day, 30*time.Second)
	s.insert(t, "", day, day, time.Minute+time.Second)
	_, err := s.sessions.RevokeAll(t.Context(), "nobody")
	require.NoError(t, err)
}

func TestCount_KindsOfRecords(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		s.populate(t)
		require.Equal(t, result{`live sessions          6
  signed in            4
  anonymous            2
expired, still stored  2
revocation markers     1
`, "", 0}, s.run(t, "count"))
		var c backend.Counts
		s.json(t, &c, "count")
		require.Equal(t, backend.Counts{Sessions: 6, SignedIn: 4, Anonymous: 2, Expired: 2, Markers: c.Markers}, c)
		require.Equal(t, int64(1), *c.Markers)
	})
}

func TestStats_Histograms(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		s.populate(t)
		want, err := os.ReadFile("testdata/stats.txt")
		require.NoError(t, err)
		require.Equal(t, result{string(want), "", 0}, s.run(t, "stats"))

		var got stats
		s.json(t, &got, "stats")
		require.Equal(t, int64(2), got.Users)
		require.Equal(t, int64(6), got.Sessions)
		require.Equal(t, histogram{{Range: "1", Count: 1}, {Range: "2"}, {Range: "3 to 5", Count: 1}, {Range: "6 to 10"}, {Range: "more"}}, got.PerUser)
		raw, err := s.coll.FindOne(t.Context(), bson.D{{Key: "user", Value: "bob"}}).Raw()
		require.NoError(t, err)
		require.Len(t, raw, got.Largest)
	})
}

func TestStats_EmptyCollection(t *testing.T) {
	r := open(t, testserver.Get(t).URI).run(t, "stats")
	require.Zero(t, r.code)
	require.NotContains(t, r.out, "%")
}

func TestTop_RatesOfTheLastMinute(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		s.populate(t)
		r := s.run(t, "top", "--rounds", "2", "--interval", "1s", "--json")
		require.Zero(t, r.code, r.err)
		lines := strings.Split(strings.TrimSpace(r.out), "\n")
		require.Len(t, lines, 2)
		var got round
		require.NoError(t, json.Unmarshal([]byte(lines[0]), &got))
		require.Equal(t, backend.Activity{Started: 2, SignIns: 1, Expired: 1}, got.PerMinute)
		require.Equal(t, int64(6), got.Sessions)

		r = s.run(t, "top", "-n", "1")
		require.Regexp(t, `^TIME .*\n\d\d:\d\d:\d\dZ +6 +4 +2 +2 +1 +1\n$`, r.out)
	})
}

func TestTop_EndsWithAnInterrupt(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	cmd := command(t.Context(), []string{"MONGO_URI=" + s.uri}, "top")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait(), "exit code 0")
}

func TestPurge_DryRunFirst(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		s.withoutTTL(t)
		s.populate(t)
		old := s.insert(t, "ann", 2*day, 2*day, time.Hour)
		unseen := s.insert(t, "", 90*day, 70*day, -day)

		require.Equal(t, result{"would delete 1 record; add --yes to delete\n", "", 0}, s.run(t, "purge", "--expired"))
		require.Equal(t, result{"would delete 2 records; add --yes to delete\n", "", 0}, s.run(t, "purge", "--anonymous-unseen", "4d"))
		require.Equal(t, int64(11), s.count(t), "a dry run deletes nothing")

		require.Equal(t, result{"deleted 1 record\n", "", 0}, s.run(t, "purge", "--expired", "--yes"))
		require.Equal(t, result{`{"dryRun":false,"matched":1,"deleted":1,"kept":0}` + "\n", "", 0},
			s.run(t, "purge", "--anonymous-unseen", "30d", "--yes", "--json"))
		for _, id := range []session.ID{old, unseen} {
			_, err := s.store.Load(t.Context(), id)
			require.ErrorIs(t, err, session.ErrNotFound)
		}
		require.Equal(t, int64(9), s.count(t))
	})
}

func TestPurge_ExpiredMarkers(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	require.Zero(t, s.run(t, "revoke-all", "ann").code)
	marker := s.marker(t)
	for _, args := range [][]string{{"--expired"}, {"--anonymous-unseen", "2h"}} {
		require.Zero(t, s.run(t, append([]string{"purge", "--yes"}, args...)...).code)
		_, err := s.store.Load(t.Context(), marker)
		require.NoError(t, err, "the marker is alive")
	}
}

// A request uses two sessions after the purge has found them. Both were to be
// deleted.
func TestPurge_KeepsASessionUsedInTheMeantime(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		for name, test := range map[string]struct {
			purge  backend.Purge
			change session.Change
		}{
			"seen":      {backend.Purge{AnonymousUnseen: time.Now().Add(-day)}, session.Change{LastSeenAt: time.Now()}},
			"signed in": {backend.Purge{AnonymousUnseen: time.Now().Add(-day)}, session.Change{User: "ann"}},
			"extended":  {backend.Purge{Expired: time.Now().Add(-time.Hour)}, session.Change{ExpiresAt: time.Now().Add(day)}},
		} {
			t.Run(name, func(t *testing.T) {
				s := open(t, uri)
				s.withoutTTL(t)
				used := s.insert(t, "", 9*day, 9*day, 2*day)
				old := s.insert(t, "", 9*day, 9*day, 2*day)
				monitor := &event.CommandMonitor{Started: func(ctx context.Context, e *event.CommandStartedEvent) {
					if e.CommandName == "delete" {
						require.NoError(t, s.store.Update(ctx, used, &test.change))
					}
				}}
				m, err := backend.OpenMongo(t.Context(), s.uri, mongostore.WithoutIndexes(),
					mongostore.WithClientOptions(func(o *options.ClientOptions) { o.SetMonitor(monitor) }))
				require.NoError(t, err)
				defer func() { require.NoError(t, m.Close(t.Context())) }()
				steps := []int64{}
				done, err := m.Purge(t.Context(), test.purge, func(n int64) { steps = append(steps, n) })
				require.NoError(t, err)
				require.Equal(t, backend.Purged{Deleted: 1, Kept: 1}, done)
				require.Equal(t, []int64{2}, steps)
				_, err = s.store.Load(t.Context(), used)
				require.NoError(t, err)
				_, err = s.store.Load(t.Context(), old)
				require.ErrorIs(t, err, session.ErrNotFound)
			})
		}
	})
}

func (s *site) count(t *testing.T) int64 {
	t.Helper()
	n, err := s.coll.CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	return n
}

func TestIndexes_CheckAndCreate(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		r := s.run(t, "indexes", "check")
		require.Zero(t, r.code, r.out)

		require.NoError(t, s.coll.Indexes().DropAll(t.Context()))
		r = s.run(t, "indexes", "check")
		require.Equal(t, 1, r.code)
		require.Contains(t, r.out, "index session_expires is missing")
		require.Contains(t, r.out, "index session_user is missing")
		require.Contains(t, r.out, "→ Create it with: session indexes create")

		require.Zero(t, s.run(t, "indexes", "create").code)
		require.Zero(t, s.run(t, "indexes", "check", "--json").code)
	})
}

func TestIndexes_WrongMargin(t *testing.T) {
	s := open(t, replicaSet(t))
	require.NoError(t, s.coll.Database().RunCommand(t.Context(), bson.D{
		{Key: "collMod", Value: s.coll.Name()},
		{Key: "index", Value: bson.D{{Key: "name", Value: "session_expires"}, {Key: "expireAfterSeconds", Value: 10}}},
	}).Err())
	r := s.run(t, "indexes", "check")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.out, "removes documents after 10 seconds, not 300")
	require.Zero(t, s.run(t, "indexes", "create").code)
	require.Zero(t, s.run(t, "indexes", "check").code)
}

func TestIndexes_AnotherIndexInTheWay(t *testing.T) {
	s := open(t, replicaSet(t))
	require.NoError(t, s.coll.Indexes().DropAll(t.Context()))
	require.NoError(t, s.coll.Database().RunCommand(t.Context(), bson.D{
		{Key: "createIndexes", Value: s.coll.Name()},
		{Key: "indexes", Value: bson.A{
			bson.D{{Key: "name", Value: "mine"}, {Key: "key", Value: bson.D{{Key: "expires", Value: 1}}}, {Key: "expireAfterSeconds", Value: 5}},
			bson.D{{Key: "name", Value: "one"}, {Key: "key", Value: bson.D{{Key: "ip", Value: 1}}}, {Key: "unique", Value: true}},
		}},
	}).Err())
	r := s.run(t, "indexes", "check")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.out, `db.http_sessions.dropIndex("mine")`)
	require.Contains(t, r.out, "index one is unique")
	r = s.run(t, "indexes", "create")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.out+r.err, "mine", "the server may refuse it or not")
}

// A test of internal/readme runs the commands of the page.
func TestIndexes_PrintIsThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/indexes.md")
	require.NoError(t, err)
	r := execute(t, nil, "indexes", "print")
	require.Zero(t, r.code)
	require.Contains(t, string(page), "```js\n"+r.out+"```")
	require.Contains(t, execute(t, nil, "indexes", "print", "--collection", "mine").out, "db.mine.createIndex(")
}

func TestWatch_Changes(t *testing.T) {
	s := open(t, replicaSet(t))
	cmd := command(t.Context(), []string{"MONGO_URI=" + s.uri}, "watch", "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := make(chan backend.Change)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			var c backend.Change
			if json.Unmarshal(scanner.Bytes(), &c) == nil {
				lines <- c
			}
		}
	}()
	s.untilWatched(t, lines)

	sess := s.signIn(t, "ann")
	visitor := s.signIn(t, "")
	color.Set(visitor, "blue")
	cart.Set(visitor, nil)
	require.NoError(t, visitor.Save(t.Context()))
	visitor.Renew()
	require.NoError(t, visitor.Save(t.Context()))
	color.Delete(visitor)
	visitor.SignIn("bob")
	require.NoError(t, visitor.Save(t.Context()))
	require.NoError(t, s.sessions.Revoke(t.Context(), "ann", sess.ID()))
	visitor.SignOut()
	require.NoError(t, visitor.Save(t.Context()))

	for _, want := range []backend.Change{
		{Kind: "sign-in", ID: sess.ID(), User: "ann", Keys: []string{"color"}},
		{Kind: "start", ID: visitor.ID(), Keys: []string{"color"}},
		{Kind: "save", ID: visitor.ID(), Keys: []string{"cart", "color"}},
		{Kind: "renewal", ID: visitor.ID()},
		{Kind: "sign-in", ID: visitor.ID(), User: "bob", Keys: []string{"color"}},
		{Kind: "revocation"},
		{Kind: "end", ID: sess.ID()},
		{Kind: "end"},
	} {
		got := <-lines
		require.WithinDuration(t, time.Now(), got.Time, time.Minute)
		if got.Time = (time.Time{}); want.ID.IsZero() {
			got.ID = session.ID{}
		}
		if got.User == "" || want.Kind == "start" {
			got.User = want.User // a later lookup finds a later user, or no document
		}
		require.Equal(t, want.Kind, got.Kind)
		require.ElementsMatch(t, want.Keys, got.Keys)
		require.Equal(t, want.User, got.User, want.Kind)
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	for range lines { // until it ends
	}
	require.NoError(t, cmd.Wait(), "exit code 0")
}

// untilWatched inserts and deletes records until the stream reports one.
func (s *site) untilWatched(t *testing.T, lines <-chan backend.Change) {
	t.Helper()
	var last session.ID
	for deadline := time.Now().Add(time.Minute); ; {
		require.True(t, time.Now().Before(deadline), "watch reports nothing")
		last = s.insert(t, "", 0, 0, -time.Hour)
		require.NoError(t, s.store.Delete(t.Context(), last))
		select {
		case c, open := <-lines:
			for c.ID != last || c.Kind != "end" {
				require.True(t, open, "watch has ended")
				c, open = <-lines
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestWatch_NoChangeStreams(t *testing.T) {
	if testserver.Get(t).RetryableWrites {
		t.Skip("the server of the tests has change streams")
	}
	r := open(t, testserver.Get(t).URI).run(t, "watch")
	require.Equal(t, result{"", "session: " + backend.ErrNoWatch.Error() + "\n", 2}, r)
}
