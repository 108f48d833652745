package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	checkBatch    = 500                   // records that are read with one command
	checkParallel = 8                     // commands at a time without batches
	checkBusy     = 20 * time.Millisecond // before a Session in a commit is looked at again
	checkPause    = 10 * time.Millisecond // to collect the changes of a moment
	checkExpiry   = time.Second           // between two looks at the times in memory
)

// check reads the waiting sessions until ctx ends.
func (w *waits) check(ctx context.Context, run *waitRun) {
	every := min(run.m.poll, checkExpiry)
	tick := time.NewTicker(every)
	defer tick.Stop()
	polled := time.Now()
	var soon <-chan time.Time // nil unless there is something to check
	for {
		select {
		case <-ctx.Done():
			return
		case <-run.wake:
			if soon == nil {
				soon = time.After(checkPause)
			}
			continue
		case <-tick.C:
			all := time.Since(polled) > run.m.poll-every/2
			if all {
				polled = time.Now()
			}
			w.tick(run, all)
		case <-soon:
		}
		soon = nil
		if w.checkDue(run) {
			soon = time.After(checkBusy)
		}
	}
}

// tick makes the sessions due that seem to have expired. If the poll interval has
// passed, it makes all sessions due, unless the store reports changes.
func (w *waits) tick(run *waitRun, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := run.m.now()
	for _, wt := range w.bySession {
		if all && !run.watching || !run.m.isLive(&wt.info, now) {
			w.due[wt] = true
		}
	}
}

// checkDue reads the sessions that are due. It reports whether one of them could
// not be looked at, because it was in a commit.
func (w *waits) checkDue(run *waitRun) (busy bool) {
	w.mu.Lock()
	commits := make(map[*waiter]int, len(w.due))
	ids := make([]ID, 0, len(w.due))
	for wt := range w.due {
		// A commit may wait for the store for a long time.
		if !wt.s.turn.TryLock() {
			busy = true
			continue
		}
		wt.s.turn.Unlock()
		delete(w.due, wt)
		commits[wt] = wt.commits
		if !wt.info.ID.IsZero() {
			ids = append(ids, wt.info.ID)
		}
	}
	w.mu.Unlock()

	found, unread := run.read(ids)
	for wt, n := range commits {
		if w.judge(wt, n, found, unread) {
			busy = true
		}
	}
	return busy
}

// judge closes the channel of a session that has ended. It reports whether the
// session must be looked at again soon.
func (w *waits) judge(wt *waiter, commits int, found map[ID]*Record, unread map[ID]bool) (busy bool) {
	// The Session may wait for the store while it holds turn.
	free := wt.s.turn.TryLock()
	if free {
		defer wt.s.turn.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	id := wt.info.ID
	rec := found[id]
	switch {
	case w.bySession[wt.s] != wt:
	case !free:
		w.due[wt] = true
		return true
	case wt.commits != commits: // the commit has made it due
	case unread[id]:
		w.due[wt] = true // at the next tick
	case wt.s.hasEnded(rec, wt.s.m.now()), id.IsZero() && wt.was:
		w.remove(wt)
		close(wt.ended)
	case rec != nil:
		wt.info = rec.Info
	}
	return false
}

// read returns the records that exist, and the IDs of those that could not be
// read.
func (run *waitRun) read(ids []ID) (found map[ID]*Record, unread map[ID]bool) {
	slices.SortFunc(ids, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	found, unread = make(map[ID]*Record, len(ids)), map[ID]bool{}
	var err error
	for batch := range slices.Chunk(ids, checkBatch) {
		if e := run.m.loadBatch(batch, found, unread); e != nil {
			err = e
		}
	}
	if err != nil && !run.failed {
		run.m.log.Warn("session: waiting sessions could not be read; will retry", "sessions", len(unread), "error", err)
	}
	if len(ids) > 0 {
		run.failed = err != nil
	}
	return found, unread
}

// loadBatch reads records, with one command if the store can do so.
func (m *Manager) loadBatch(ids []ID, found map[ID]*Record, unread map[ID]bool) error {
	if _, ok := m.waits.store.(BatchLoader); !ok {
		return m.loadEach(ids, found, unread)
	}
	ctx, stop := m.storeContext(context.Background())
	defer stop.release()
	recs, err := m.store.(BatchLoader).LoadBatch(ctx, ids)
	for _, rec := range recs {
		found[rec.ID] = rec
	}
	if err != nil {
		for _, id := range ids {
			unread[id] = true
		}
	}
	return err
}

// loadEach is loadBatch for a store that reads one record at a time.
func (m *Manager) loadEach(ids []ID, found map[ID]*Record, unread map[ID]bool) (err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for part := range slices.Chunk(ids, (len(ids)+checkParallel-1)/checkParallel) {
		wg.Go(func() {
			for _, id := range part {
				ctx, stop := m.storeContext(context.Background())
				rec, e := m.store.Load(ctx, id)
				stop.release()
				mu.Lock()
				switch {
				case e == nil:
					found[id] = rec
				case !errors.Is(e, ErrNotFound):
					unread[id], err = true, e
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return err
}
