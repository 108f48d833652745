package devserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	defaultImage    = "mongo:8.0"
	mongoPort       = "27017/tcp"
	dockerAnswer    = 10 * time.Second
	containerStart  = 5 * time.Minute // includes the time to pull the image
	containerAnswer = time.Minute
	containerLook   = 500 * time.Millisecond
)

// startContainer runs a MongoDB image. If the Docker engine or the image is missing, the engine is skipped, because
// nobody requested it.
func startContainer(ctx context.Context, c *config) (*instance, error) {
	if err := dockerAnswers(ctx); err != nil {
		return nil, skip("no Docker engine answers: %w", err)
	}
	image := cmp.Or(os.Getenv("DEVMONGO_IMAGE"), defaultImage)
	inst, err := runContainer(ctx, c, image)
	if err != nil {
		return nil, skip("a Docker engine answers, but the image %s does not run: %w", image, err)
	}
	return inst, nil
}

func dockerAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dockerAnswer)
	defer cancel()
	tclog.SetDefault(tclog.NewNoopLogger()) // it would print a banner with the paths of the machine
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return err
	}
	defer docker.Close()
	_, err = docker.Ping(ctx, client.PingOptions{})
	return err
}

func runContainer(ctx context.Context, c *config, image string) (*instance, error) {
	ctx, cancel := context.WithTimeout(ctx, containerStart)
	defer cancel()
	c.log("devmongo: starting a container of %s", image)
	ctr, err := testcontainers.Run(ctx, image,
		testcontainers.WithExposedPorts(mongoPort),
		testcontainers.WithWaitStrategy(wait.ForMappedPort(mongoPort)))
	// The container is ended here. The reaper of testcontainers is a second image and may be switched off.
	stop := func() error { return testcontainers.TerminateContainer(ctr) }
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	uri, err := containerURI(ctx, ctr)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	if err := containerAnswers(ctx, ctr, uri); err != nil {
		return nil, errors.Join(err, stop())
	}
	return &instance{uri: uri, stop: stop}, nil
}

// containerAnswers waits until the server at uri responds or its container has ended.
func containerAnswers(ctx context.Context, ctr testcontainers.Container, uri string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, containerAnswer, fmt.Errorf("no answer within %s", containerAnswer))
	defer cancel()
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() {
		for ctx.Err() == nil {
			if state, err := ctr.State(ctx); err == nil && !state.Running {
				ended(fmt.Errorf("its container ended with exit code %d", state.ExitCode))
			}
			select {
			case <-time.After(containerLook):
			case <-ctx.Done():
			}
		}
	}()
	err := ping(ctx, options.Client().ApplyURI(uri).SetServerSelectionTimeout(containerAnswer))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func containerURI(ctx context.Context, ctr testcontainers.Container) (string, error) {
	host, err := ctr.Host(ctx)
	if err != nil {
		return "", err
	}
	port, err := ctr.MappedPort(ctx, mongoPort)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("mongodb://%s/", net.JoinHostPort(host, port.Port())), nil
}
