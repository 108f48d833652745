package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// client sends its token with each call and keeps a new one, as a mobile app would.
type client struct {
	conn  *grpc.ClientConn
	token string
}

func (c *client) call(ctx context.Context, method string, in, out any) error {
	if c.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, tokenKey, c.token)
	}
	var header metadata.MD
	err := c.conn.Invoke(ctx, "/example.Shop/"+method, in, out, grpc.Header(&header))
	if token := header.Get(tokenKey); err == nil && len(token) > 0 {
		c.token = token[0]
	}
	return err
}

func (c *client) add(ctx context.Context, product string) (int64, codes.Code) {
	var n wrapperspb.Int64Value
	err := c.call(ctx, "Add", wrapperspb.String(product), &n)
	return n.Value, status.Code(err)
}

func TestServer(t *testing.T) {
	ctx, store := t.Context(), memstore.New()
	sessions, err := session.New(store, strings.Repeat("s3cret", 6))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := newServer(sessions)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	ann := &client{conn: conn}

	_, code := ann.add(ctx, "tea")
	require.Equal(t, codes.Unauthenticated, code)
	require.Empty(t, ann.token)
	require.Zero(t, store.Len())

	require.NoError(t, ann.call(ctx, "SignIn", wrapperspb.String("ann"), &emptypb.Empty{}))
	require.NotEmpty(t, ann.token)
	n, code := ann.add(ctx, "tea")
	require.Equal(t, codes.OK, code)
	require.EqualValues(t, 1, n)
	n, _ = ann.add(ctx, "milk")
	require.EqualValues(t, 2, n)

	forged := &client{conn: conn, token: "A" + ann.token}
	_, code = forged.add(ctx, "tea")
	require.Equal(t, codes.Unauthenticated, code)

	store.Fail(errors.New("no primary at db.internal"))
	_, err = sessions.List(ctx, "ann")
	require.Error(t, err)
	err = ann.call(ctx, "Add", wrapperspb.String("tea"), &wrapperspb.Int64Value{})
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.NotContains(t, err.Error(), "db.internal")
	store.Fail(nil)

	old := ann.token
	require.NoError(t, ann.call(ctx, "SignOut", &emptypb.Empty{}, &emptypb.Empty{}))
	require.Empty(t, ann.token)
	replay := &client{conn: conn, token: old}
	_, code = replay.add(ctx, "tea")
	require.Equal(t, codes.Unauthenticated, code)
}
