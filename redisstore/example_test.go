package redisstore_test

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/redisstore"
)

// Only the store differs from a program with MongoDB.
func ExampleOpen() {
	store, err := redisstore.Open(context.Background(), os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(context.Background())
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewServeMux()
	log.Fatal(http.ListenAndServe("localhost:8080", sessions.Wrap(app)))
}

// A client with its own settings, and writes that a failover cannot lose.
func ExampleNew() {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:    []string{"redis-1:6379", "redis-2:6379"},
		Password: os.Getenv("REDIS_PASSWORD"),
	})
	defer client.Close()
	store, err := redisstore.New(context.Background(), client, redisstore.WithReplicas(1))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(context.Background())
}
