package mongostore

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/holdfast-go/session/internal/mongoctx"
)

// Sweep runs one sweep now.
func (s *Store) Sweep(ctx context.Context) (int64, error) { return s.sweep(mongoctx.New(ctx)) }

// Unopened returns a store without a check of its server.
func Unopened(coll *mongo.Collection, maxFlight int64) *Store {
	return &Store{coll: coll, config: config{maxFlight: maxFlight}}
}

// InFlight returns the number of operations limited by WithMaxInFlight.
func (s *Store) InFlight() int { return int(s.flight.Load()) }

// SetSilence sets the time without a reply after which Watch returns.
func (s *Store) SetSilence(d time.Duration) { s.silence = d }

// MaxInFlight returns the number of WithMaxInFlight.
func (s *Store) MaxInFlight() int { return int(s.maxFlight) }

// PageSize is the number of documents that All reads at once.
const PageSize = pageSize

// Redact removes the secrets of a URI from an error.
var Redact = redact

// Passing reports whether another attempt may succeed.
var Passing = passing

// WriteError converts an error of a write.
var WriteError = writeError
