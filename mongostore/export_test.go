package mongostore

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Sweep runs one sweep now.
func (s *Store) Sweep(ctx context.Context) (int64, error) { return s.sweep(operation{ctx}) }

// Unopened returns a store that has not looked for its server.
func Unopened(coll *mongo.Collection, maxFlight int64) *Store {
	return &Store{coll: coll, config: config{maxFlight: maxFlight}}
}

// InFlight returns the number of operations that WithMaxInFlight bounds.
func (s *Store) InFlight() int { return int(s.flight.Load()) }

// Redact is how errors are freed of what is secret in the URI.
var Redact = redact

// Passing tells whether an operation is worth another try.
var Passing = passing

// WriteError gives an error of a write its meaning.
var WriteError = writeError
