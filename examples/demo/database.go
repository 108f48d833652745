package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

// runDatabase serves a MongoDB-compatible database. It is a separate process, so that its folder, container or mongod
// is removed even if the supervisor is killed.
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

// logSlow prints delays and failures. It leaves out skipped engines and the note about TTL indexes.
func logSlow(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if strings.HasPrefix(line, "devmongo: skipped ") || strings.Contains(line, "which has no TTL indexes") {
		return
	}
	fmt.Fprintln(os.Stderr, line)
}

// gated returns the URI with the gate's address in place of the server's. It returns false if the URI names several
// servers, or if the connection uses TLS, because the certificate names the server.
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
		// Otherwise a replica set would tell the driver the addresses of its members, which bypass the gate.
		query = strings.TrimPrefix(query+"&directConnection=true", "&")
	}
	return scheme + "://" + user + gate + "/" + database + "?" + query, true
}

// hostOf returns the address of the one server in a URI.
func hostOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	rest, _, _ = strings.Cut(rest, "?")
	host, _, _ := strings.Cut(rest[strings.LastIndexByte(rest, '@')+1:], "/")
	if !strings.Contains(host[strings.LastIndexByte(host, ']')+1:], ":") {
		host += ":27017"
	}
	return host
}
