package redisstore_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/stress"
	"github.com/holdfast-go/session/redisstore"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{}) // servers are killed
	stress.Serve(openTarget)
	redisserver.Announce()
	os.Exit(m.Run())
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// openTarget opens the store of an app's process. The target is a URL, or the
// addresses of a cluster's nodes and of the proxy's port for each.
func openTarget(ctx context.Context, target string, quiet *slog.Logger) (session.Store, error) {
	nodes, ok := strings.CutPrefix(target, "cluster ")
	if !ok {
		return redisstore.Open(ctx, target, redisstore.WithLogger(quiet))
	}
	ports := map[string]string{}
	var addrs []string
	for pair := range strings.SplitSeq(nodes, " ") {
		node, port, _ := strings.Cut(pair, "=")
		ports[node] = port
		addrs = append(addrs, node)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, ports[addr])
		},
	})
	return redisstore.New(ctx, client, redisstore.WithLogger(quiet))
}
