package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/holdfast-go/session/cmd/session/internal/doctor"
)

// report is the output of doctor in JSON.
type report struct {
	ExitCode int
	Findings []doctor.Finding
}

// examined runs doctor with --json and returns its findings by check.
func examined(t *testing.T, env []string, args ...string) (report, map[string][]doctor.Finding) {
	t.Helper()
	r := execute(t, env, append([]string{"doctor", "--json", "--rounds", "3"}, args...)...)
	var got report
	require.NoError(t, json.Unmarshal([]byte(r.out), &got), "%s%s", r.out, r.err)
	require.Empty(t, r.err)
	require.Equal(t, got.ExitCode, r.code)
	byCheck := map[string][]doctor.Finding{}
	for _, f := range got.Findings {
		require.Equal(t, f.Advice != "", f.Status == doctor.Warning || f.Status == doctor.Failure, "a problem has an advice: %v", f)
		byCheck[f.Check] = append(byCheck[f.Check], f)
	}
	return got, byCheck
}

func (s *site) examined(t *testing.T, args ...string) (report, map[string][]doctor.Finding) {
	t.Helper()
	return examined(t, []string{"MONGO_URI=" + s.uri, "SESSION_SECRET=" + strongSecret}, args...)
}

const strongSecret = "3q2+7wAAq0mD9yXrT1pW8sVbLzKcNhQ4uEgJf5oYxRk="

func statuses(list []doctor.Finding) (s []doctor.Status) {
	for _, f := range list {
		s = append(s, f.Status)
	}
	return s
}

func TestDoctor_FindingsOfAUsualServer(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		s.signIn(t, "ann")
		before := s.count(t)
		got, by := s.examined(t)
		require.Equal(t, 1, got.ExitCode, "one member without access control is a warning")
		var checks []string
		for _, f := range got.Findings {
			if len(checks) == 0 || checks[len(checks)-1] != f.Check {
				checks = append(checks, f.Check)
			}
		}
		require.Equal(t, []string{
			"connection", "version", "topology", "write concern", "clock", "privileges", "collection", "indexes", "expiry",
			"round trip", "repeated writes", "secret",
		}, checks)
		for _, check := range []string{"connection", "version", "write concern", "clock", "collection", "expiry", "round trip", "repeated writes", "secret"} {
			require.Equal(t, []doctor.Status{doctor.OK}, statuses(by[check]), check)
		}
		require.Equal(t, doctor.Warning, by["topology"][0].Status)
		require.Equal(t, []doctor.Status{doctor.OK, doctor.OK}, statuses(by["indexes"]))
		require.Equal(t, before, s.count(t), "no probe remains")
		require.Contains(t, fmt.Sprint(by["round trip"][0].Data), "p95Milliseconds")
	})
}

func TestDoctor_Text(t *testing.T) {
	s := open(t, replicaSet(t))
	r := execute(t, []string{"MONGO_URI=" + s.uri}, "doctor", "--rounds", "1")
	require.Equal(t, 1, r.code)
	require.Regexp(t, `(?m)^warning  topology +replica set secantus has one member with data; a majority is this member\n +→ In production, use a replica set with three members that hold data\.$`, r.out)
	require.Regexp(t, `(?m)^skipped  secret +SESSION_SECRET is not set; set it to check the secret$`, r.out)
	require.Regexp(t, `\n\n\d+ ok, 1 skipped, 2 warnings, 0 failures\n$`, r.out)
}

// doctor creates no collection, because its name may be wrong.
func TestDoctor_NoCollection(t *testing.T) {
	s := open(t, replicaSet(t))
	got, by := s.examined(t, "--collection", "other")
	require.Equal(t, 1, got.ExitCode)
	require.Equal(t, doctor.Warning, by["collection"][0].Status)
	for _, check := range []string{"indexes", "expiry", "round trip", "repeated writes"} {
		require.Equal(t, []doctor.Status{doctor.Skipped}, statuses(by[check]), check)
	}
	names, err := s.coll.Database().ListCollectionNames(t.Context(), bson.D{})
	require.NoError(t, err)
	require.NotContains(t, names, "other")
}

func TestDoctor_OptionsOfTheCollection(t *testing.T) {
	for name, test := range map[string]struct {
		options *options.CreateCollectionOptionsBuilder
		status  doctor.Status
		text    string
	}{
		"validator": {options.CreateCollection().SetValidator(bson.D{{Key: "v", Value: 1}}), doctor.Warning, "has a validator"},
		"collation": {options.CreateCollection().SetCollation(&options.Collation{Locale: "en", Strength: 2}), doctor.Warning, "has the default collation en"},
		"capped":    {options.CreateCollection().SetCapped(true).SetSizeInBytes(1 << 20), doctor.Failure, "is capped"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, replicaSet(t))
			require.NoError(t, s.coll.Database().CreateCollection(t.Context(), "special", test.options))
			_, by := s.examined(t, "--collection", "special")
			require.Equal(t, []doctor.Status{test.status}, statuses(by["collection"]))
			require.Contains(t, by["collection"][0].Text, test.text)
		})
	}
}

// A validator that refuses the library's documents makes the round trip fail.
func TestDoctor_ServerRefusesSessions(t *testing.T) {
	s := open(t, replicaSet(t))
	require.NoError(t, s.coll.Database().CreateCollection(t.Context(), "strict",
		options.CreateCollection().SetValidator(bson.D{{Key: "color", Value: bson.D{{Key: "$exists", Value: true}}}})))
	got, by := s.examined(t, "--collection", "strict")
	require.Equal(t, 2, got.ExitCode)
	require.Equal(t, doctor.Failure, by["round trip"][0].Status)
	require.Contains(t, by["round trip"][0].Text, "a probe session failed: insert:")
}

func TestDoctor_ExpiredDocumentsRemain(t *testing.T) {
	onEach(t, func(t *testing.T, uri string) {
		s := open(t, uri)
		s.withoutTTL(t)
		s.insert(t, "", 9*day, 9*day, 5*time.Minute) // may still be stored
		_, by := s.examined(t)
		require.Equal(t, []doctor.Status{doctor.OK}, statuses(by["expiry"]))
		s.insert(t, "", 9*day, 9*day, time.Hour)
		_, by = s.examined(t)
		require.Equal(t, []doctor.Status{doctor.Warning}, statuses(by["expiry"]))
		require.Contains(t, by["expiry"][0].Text, "1 documents that expired more than")
	})
}

// The TTL index has a margin of years, so the test itself decides whether the
// document is removed.
func TestDoctor_WaitForTheRemovalOfADocument(t *testing.T) {
	s := open(t, replicaSet(t))
	s.withoutTTL(t)
	_, err := s.coll.Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys:    bson.D{{Key: "expires", Value: 1}},
		Options: options.Index().SetName("session_expires").SetExpireAfterSeconds(1_000_000_000),
	})
	require.NoError(t, err)
	got, by := s.examined(t, "--wait=1s")
	require.Equal(t, 2, got.ExitCode)
	require.Equal(t, []doctor.Status{doctor.OK, doctor.Failure}, statuses(by["expiry"]))
	require.Contains(t, by["expiry"][1].Text, "has not removed an expired document within 1s")
	require.Zero(t, s.count(t), "the probe is removed")

	ctx, cancel := context.WithCancel(t.Context())
	removed := make(chan bool)
	go func() {
		defer close(removed)
		for ctx.Err() == nil {
			_, _ = s.coll.DeleteOne(ctx, bson.D{{Key: "expires", Value: bson.D{{Key: "$lt", Value: time.Now().Add(-time.Hour)}}}})
		}
	}()
	_, by = s.examined(t, "--wait")
	cancel()
	<-removed
	require.Equal(t, []doctor.Status{doctor.OK, doctor.OK}, statuses(by["expiry"]))
	require.Contains(t, by["expiry"][1].Text, "the server removed an expired document within")
}

func TestDoctor_NoServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	ln.Close()
	for name, env := range map[string][]string{
		"no URI":    {},
		"malformed": {"MONGO_URI=mongodb://ann:passw0rd@:27017:/"},
		"closed":    {"MONGO_URI=mongodb://ann:passw0rd@" + addr + "/?connectTimeoutMS=300"},
		"Redis":     {"REDIS_URL=redis://:passw0rd@127.0.0.1:1/?dial_timeout=50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			got, by := examined(t, append(env, "SESSION_SECRET="+strongSecret))
			require.Equal(t, 2, got.ExitCode)
			require.Equal(t, []doctor.Status{doctor.Failure}, statuses(by["connection"]))
			require.Equal(t, []doctor.Status{doctor.OK}, statuses(by["secret"]), "the other checks run")
			require.NotContains(t, fmt.Sprint(got), "passw0rd")
		})
	}
}

const password = "c0rrect-horse/battery" // escaped in a URI

// guarded returns a server with access control. roles are the roles of the user
// app. The URI has the user and the password.
func guarded(t *testing.T, roles bson.A) (uri string, s *site) {
	t.Helper()
	dir := t.TempDir()
	server := startSecantus(t, dir, "--standalone")
	client, err := mongo.Connect(options.Client().ApplyURI(server.uri))
	require.NoError(t, err)
	admin := client.Database("admin")
	for user, roles := range map[string]bson.A{"app": roles, "root": {"root"}} {
		require.NoError(t, admin.RunCommand(t.Context(), bson.D{
			{Key: "createUser", Value: user}, {Key: "pwd", Value: password}, {Key: "roles", Value: roles},
		}).Err())
	}
	require.NoError(t, client.Disconnect(t.Context()))
	server.stop()
	server = startSecantus(t, dir, "--standalone", "--auth")
	t.Cleanup(server.stop)
	address := strings.TrimPrefix(server.uri, "mongodb://")
	s = open(t, "mongodb://root:c0rrect-horse%2Fbattery@"+strings.TrimSuffix(address, "/")+"/")
	return "mongodb://app:c0rrect-horse%2Fbattery@" + address + s.coll.Database().Name() + "?authSource=admin", s
}

// SecantusDB does not list privileges, so doctor finds out by the round trip.
func TestDoctor_ReadOnlyUser(t *testing.T) {
	uri, s := guarded(t, bson.A{bson.D{{Key: "role", Value: "readAnyDatabase"}, {Key: "db", Value: "admin"}}})
	got, by := examined(t, []string{"MONGO_URI=" + uri})
	require.Equal(t, 2, got.ExitCode)
	require.Equal(t, []doctor.Status{doctor.Skipped}, statuses(by["privileges"]))
	require.Equal(t, []doctor.Status{doctor.Failure}, statuses(by["round trip"]))
	require.Contains(t, by["round trip"][0].Text, "not authorized")
	require.Zero(t, s.count(t))
}

// Each command with a right and a wrong password, and after an interrupted
// connection. Neither the password, nor the verifier, nor a value may appear.
func TestCommands_ShowNoSecret(t *testing.T) {
	uri, s := guarded(t, bson.A{bson.D{{Key: "role", Value: "readWriteAnyDatabase"}, {Key: "db", Value: "admin"}}})
	s.uri = strings.Replace(uri, "app:", "root:", 1)
	sess := s.signIn(t, "ann")
	rec, err := s.store.Load(context.Background(), sess.ID())
	require.NoError(t, err)
	wrong := strings.Replace(uri, "c0rrect", "wr0ng", 1)
	verifier := fmt.Sprintf("%x", rec.Verifier)
	for _, env := range [][]string{
		{"MONGO_URI=" + uri, "SESSION_SECRET=" + strongSecret},
		{"MONGO_URI=" + wrong, "SESSION_SECRET=" + strongSecret},
		{"MONGO_URI=" + strings.Replace(uri, "27017", "x", 1) + "&tlsCertificateKeyFilePassword=k3y-password&tls=maybe"},
	} {
		for _, args := range [][]string{
			{"doctor", "--rounds", "1"},
			{"list", "ann"},
			{"show", sess.ID().String()},
			{"count"},
			{"stats"},
			{"top", "-n", "1"},
			{"purge", "--expired"},
			{"indexes", "check"},
			{"indexes", "create"},
			{"watch"},
			{"revoke", rec.ID.String()},
			{"revoke-all", "ann"},
		} {
			runs := [][]string{args}
			if env[0] == "MONGO_URI="+uri {
				runs = append(runs, append(args, "--json"))
			}
			for _, args := range runs {
				r := execute(t, env, args...)
				if len(runs) == 1 {
					require.Equal(t, 2, r.code, args)
				}
				for _, secret := range []string{
					"c0rrect", "wr0ng", "battery", "k3y-password", strongSecret, verifier, string(rec.Verifier), "secret red",
				} {
					require.NotContains(t, r.out+r.err, secret, "%v of %v", args, env)
				}
			}
		}
	}
}
