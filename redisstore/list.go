package redisstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
)

// listBatch is the number of records that List reads at a time.
const listBatch = 200

// infoFields are the fields of an Info, without values and secrets.
var infoFields = []string{
	fieldUser, fieldTicket, fieldLogin, fieldCreated, fieldSeen, fieldExpires, fieldDeadline, fieldIdle, fieldIP, fieldAgent,
}

// List implements [session.Store]. After a temporary error it tries again until ctx
// ends. It removes members of the index whose record no longer exists.
func (s *Store) List(ctx context.Context, user string) (infos []session.Info, err error) {
	if user == "" {
		return nil, ctx.Err()
	}
	err = s.do(ctx, passing, func() error {
		infos, err = s.list(ctx, user)
		return err
	})
	return infos, err
}

func (s *Store) list(ctx context.Context, user string) (infos []session.Info, err error) {
	members, err := s.members(ctx, user)
	if err != nil {
		return nil, err
	}
	var stale []any
	seen := make(map[session.ID]bool, len(members))
	for len(members) > 0 {
		n := min(len(members), listBatch)
		records, err := s.readInfos(ctx, idsOf(members[:n]), infoFields)
		if err != nil {
			return nil, err
		}
		for i, rec := range records {
			switch member := members[i]; {
			case rec.User == user && !seen[rec.ID]:
				seen[rec.ID] = true
				infos = append(infos, rec.Info)
			case isStale(rec, user, member):
				stale = append(stale, member)
			}
		}
		members = members[n:]
	}
	if len(stale) > 0 {
		s.remove(ctx, user, stale...)
	}
	return infos, nil
}

// members returns the members of a user's index.
func (s *Store) members(ctx context.Context, user string) ([]string, error) {
	cmd := onceCmd{redis.NewCmd(ctx, "zrange", s.userKey(user), 0, -1)}
	if err := s.read(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.StringSlice()
}

// idsOf returns the session ID of each member, and the zero ID for a member that a
// newer version has written.
func idsOf(members []string) []session.ID {
	ids := make([]session.ID, len(members))
	for i, member := range members {
		if len(member) >= idSize {
			ids[i] = session.ID([]byte(member[:idSize]))
		}
	}
	return ids
}

// infoRecord is a record as readInfos reads it.
type infoRecord struct {
	session.Record
	ticket string
	exists bool // has one of the fields
}

// isStale reports whether a member of the user's index belongs to no record, and no
// record will be written for it.
func isStale(rec infoRecord, user, member string) bool {
	if len(member) != memberSize {
		return false // of a newer version
	}
	ticket := member[idSize:]
	return (rec.User != user || rec.ticket != ticket) && time.Since(ticketTime(ticket)) > entryMargin
}

// readInfos reads the fields of records. It returns an error unless the servers have
// replied for all of them.
func (s *Store) readInfos(ctx context.Context, ids []session.ID, fields []string) ([]infoRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records := make([]infoRecord, len(ids))
	cmds := make([]*redis.SliceCmd, len(ids))
	args := []any{"hmget", ""}
	for _, field := range fields {
		args = append(args, field)
	}
	pipe := s.client.Pipeline()
	for i, id := range ids {
		records[i].ID = id
		args := slices.Clone(args)
		args[1] = s.key(id)
		cmds[i] = redis.NewSliceCmd(ctx, args...)
		_ = pipe.Process(ctx, sliceCmd{cmds[i]})
	}
	err := s.wait(ctx, func(ctx context.Context) error {
		_, err := pipe.Exec(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, cmd := range cmds {
		if len(cmd.Val()) != len(fields) {
			return nil, errNoReply
		}
		for f, value := range cmd.Val() {
			text, ok := value.(string)
			records[i].exists = records[i].exists || ok
			switch {
			case !ok:
			case fields[f] == fieldTicket:
				records[i].ticket = text
			default:
				decodeField(&records[i].Record, fields[f], text)
			}
		}
	}
	return records, nil
}

var (
	errUnknownClient = errors.New("redisstore: unknown kind of client")
	// errNoReply is returned if a hook of the client has not sent a command. The
	// client then reports no error, and the record would seem to be missing.
	errNoReply = errors.New("redisstore: the client returned no reply to a command")
)
