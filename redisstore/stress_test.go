package redisstore_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-go/session/internal/stress"
	"github.com/holdfast-go/session/redisstore/internal/redisproxy"
	"github.com/holdfast-go/session/redisstore/internal/redisserver"
)

// onServer and onCluster return functions that start a database for one call of the
// rounds. The calls share the servers.
func onServer(t *testing.T) stress.Starter {
	server := redisserver.Start(t)
	store := open(t, server.URL())
	return func(t *testing.T, lossy bool) stress.Database {
		d := stress.Database{Target: server.URL(), Store: store}
		if lossy {
			p, figures := dropping(t)
			d.Target, d.Figures = "redis://"+p.Addr(server.Addr), figures
		}
		return d
	}
}

func onCluster(t *testing.T) stress.Starter {
	cluster := redisserver.StartCluster(t)
	store := open(t, cluster.URL())
	return func(t *testing.T, lossy bool) stress.Database {
		d := stress.Database{Target: cluster.URL(), Store: store}
		if lossy {
			p, figures := dropping(t)
			d.Figures = figures
			target := []string{"cluster"}
			for _, node := range cluster.Nodes {
				target = append(target, node.Addr+"="+p.Addr(node.Addr))
			}
			d.Target = strings.Join(target, " ")
		}
		return d
	}
}

// dropping returns a proxy that loses a tenth of the replies to writes.
func dropping(t *testing.T) (*redisproxy.Proxy, func() (writes, dropped int)) {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2))
	var writes, dropped int
	p := redisproxy.New(t, func(c redisproxy.Command) redisproxy.Verdict {
		if !c.IsWrite() {
			return redisproxy.Pass
		}
		mu.Lock()
		defer mu.Unlock()
		writes++
		if random.IntN(100) >= 10 {
			return redisproxy.Pass
		}
		dropped++
		return redisproxy.DropReply
	})
	return p, func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return writes, dropped
	}
}

func onEach(t *testing.T, rounds func(*testing.T, stress.Starter)) {
	redisserver.Need(t)
	t.Run("server", func(t *testing.T) { rounds(t, onServer(t)) })
	t.Run("cluster", func(t *testing.T) { rounds(t, onCluster(t)) })
}

func TestSignOut_TwoProcesses(t *testing.T) { onEach(t, stress.SignOut) }

func TestSet_TwoProcesses(t *testing.T) { onEach(t, stress.Set) }

func TestUpdate_TwoProcesses(t *testing.T) { onEach(t, stress.Update) }

func TestSignIn_TwoProcesses(t *testing.T) { onEach(t, stress.SignIn) }
