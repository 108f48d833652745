package faultmongo

import (
	"sync"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// book handles retryable writes as a replica set does. If a write comes a
// second time, with the same session and number, it gets the reply of the first
// and is not applied again. book stores only the last write of each session,
// because a driver never repeats an earlier one.
type book struct {
	mu       sync.Mutex
	sessions map[string]*page
}

type page struct {
	mu     sync.Mutex // held during a write of the session
	number int64
	answer bsoncore.Document
}

// apply runs the write unless it has been applied before.
func (b *book) apply(r *request, run func() (bsoncore.Document, error)) (bsoncore.Document, error) {
	number, ok := r.body.Lookup("txnNumber").AsInt64OK()
	if !ok {
		return run()
	}
	p := b.page(string(r.body.Lookup("lsid", "id").Data))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case number < p.number:
		return r.refusal(TransactionTooOld), nil
	case number == p.number && p.answer != nil:
		return p.answer, nil
	}
	answer, err := run()
	if err == nil && applied(answer) {
		p.number, p.answer = number, answer
	}
	return answer, err
}

func (b *book) page(session string) *page {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions == nil {
		b.sessions = make(map[string]*page)
	}
	p := b.sessions[session]
	if p == nil {
		p = new(page)
		b.sessions[session] = p
	}
	return p
}

// applied reports whether the reply must be stored. A refused write would be
// refused again.
func applied(answer bsoncore.Document) bool {
	_, err := answer.LookupErr("writeErrors")
	return err != nil && isOK(answer)
}

func isOK(answer bsoncore.Document) bool {
	ok, isNumber := answer.Lookup("ok").AsInt64OK()
	return isNumber && ok == 1
}
