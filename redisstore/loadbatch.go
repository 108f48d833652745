package redisstore

import (
	"context"

	"github.com/holdfast-go/session"
)

var _ session.BatchLoader = (*Store)(nil)

// batchFields are the fields of a record without its values. An existing record has
// the format even if all other fields are zero.
var batchFields = append([]string{fieldFormat, fieldVerifier, fieldSalt, fieldRenewed}, infoFields...)

// LoadBatch implements [session.BatchLoader] with one pipeline for each node that has
// records. It leaves out the values. After a temporary error it reads all records
// again until ctx ends. It returns no records if one of the reads failed.
func (s *Store) LoadBatch(ctx context.Context, ids []session.ID) (recs []*session.Record, err error) {
	var records []infoRecord
	err = s.do(ctx, passing, func() (err error) {
		records, err = s.readInfos(ctx, ids, batchFields)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range records {
		if records[i].exists {
			recs = append(recs, &records[i].Record)
		}
	}
	return recs, nil
}
