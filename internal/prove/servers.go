package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/mongostore"
)

// proveServers measures the properties of the store on a server.
func proveServers(ctx context.Context, r *run) error {
	f := new(failures)
	for _, prove := range []struct {
		name string
		f    func(context.Context, *run) error
	}{
		{"sweep", sweepSecantus}, {"sweep on FerretDB", sweepFerret}, {"indexes", indexesAtOnce}, {"SCRAM", proveAuth}, {"TLS", proveTLS},
	} {
		if err := prove.f(ctx, r); err != nil {
			f.add("%s: %v", prove.name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return f.err()
}

// indexesAtOnce opens a new collection from twenty instances, and then a
// collection with an older TTL index.
func indexesAtOnce(ctx context.Context, r *run) error {
	server, err := r.server("--standalone")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	client, done, err := connect(server.URI)
	if err != nil {
		return err
	}
	defer done()
	for _, old := range []bool{false, true} {
		coll := client.Database("app").Collection(fmt.Sprint("instances_", old))
		if old {
			_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{
				Keys: bson.D{{Key: "expires", Value: 1}}, Options: options.Index().SetName("session_expires").SetExpireAfterSeconds(60),
			})
			if err != nil {
				return err
			}
		}
		if err := openAll(ctx, server.URI, coll.Name(), 20); err != nil {
			return err
		}
		specs, err := coll.Indexes().ListSpecifications(ctx)
		if err != nil {
			return err
		}
		ttl := int32(-1)
		for _, spec := range specs {
			if spec.ExpireAfterSeconds != nil {
				ttl = *spec.ExpireAfterSeconds
			}
		}
		r.say("twenty instances at once, older TTL index %t: %d indexes, TTL %d s", old, len(specs), ttl)
		if len(specs) != 3 || ttl != 300 {
			return fmt.Errorf("%d indexes, TTL %d, want 3 and 300", len(specs), ttl)
		}
	}
	return nil
}

func openAll(ctx context.Context, uri, coll string, n int) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			s, err := mongostore.Open(ctx, uri, mongostore.WithCollection(coll))
			if err == nil {
				err = s.Close(ctx)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
