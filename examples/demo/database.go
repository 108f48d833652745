package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// runDatabase serves a MongoDB-compatible database. It is a process of its own so that its folder, container or
// mongod goes too when the supervisor is killed.
func runDatabase(ctx context.Context) error {
	s, err := devserver.Start(ctx, devserver.WithLog(logSlow))
	if err != nil {
		return err
	}
	if err := printHello(s); err != nil {
		s.Close()
		return err
	}
	<-ctx.Done()
	return s.Close()
}

// logSlow passes on what takes time or failed, not which servers are not there.
func logSlow(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if strings.HasPrefix(line, "devmongo: skipped ") || strings.Contains(line, "which has no TTL indexes") {
		return
	}
	fmt.Fprintln(os.Stderr, line)
}

// gated returns the URI with the gate in place of the server, or false where there is more than one server to stand
// before, or a certificate that names it.
func gated(uri, gate string) (string, bool) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || scheme != "mongodb" {
		return "", false
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	user := ""
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		user, hosts = hosts[:at+1], hosts[at+1:]
	}
	lower := strings.ToLower(query)
	if strings.Contains(hosts, ",") || strings.Contains(lower, "tls=true") || strings.Contains(lower, "ssl=true") {
		return "", false
	}
	if !strings.Contains("&"+lower, "&directconnection=") {
		// A replica set would tell the driver where its members are, past the gate.
		query = strings.TrimPrefix(query+"&directConnection=true", "&")
	}
	return scheme + "://" + user + gate + "/" + database + "?" + query, true
}

// hostOf returns where the one server of a URI listens.
func hostOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	rest, _, _ = strings.Cut(rest, "?")
	host, _, _ := strings.Cut(rest[strings.LastIndexByte(rest, '@')+1:], "/")
	if !strings.Contains(host[strings.LastIndexByte(host, ']')+1:], ":") {
		host += ":27017"
	}
	return host
}
