package main

import (
	"context"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/holdfast-go/session"
)

// tokenKey is the key of the token in the metadata of a call and of its reply. If the reply has it, the client uses
// the new token from then on. The new token is empty if the session has ended.
const tokenKey = "session-token"

// withSession returns an interceptor that loads the session of each unary call, and saves it before the reply. Handlers
// find it with session.FromContext. If the handler returns an error, its changes are discarded.
func withSession(sessions *session.Manager) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		var cookies []*http.Cookie
		for _, token := range metadata.ValueFromIncomingContext(ctx, tokenKey) {
			cookies = append(cookies, &http.Cookie{Name: sessions.CookieName(), Value: token})
		}
		s, err := sessions.Load(ctx, cookies)
		if err != nil {
			return nil, statusOf(err)
		}
		reply, err := handler(session.NewContext(ctx, s), req)
		if err != nil {
			return nil, err
		}
		if err := s.Save(ctx); err != nil {
			return nil, statusOf(err)
		}
		if c := s.Cookie(); c != nil {
			if err := grpc.SetHeader(ctx, metadata.Pairs(tokenKey, c.Value)); err != nil {
				return nil, err
			}
		}
		return reply, nil
	}
}

// statusOf returns the gRPC status of an error of a session. Its text does not contain the cause, which may name the
// database.
func statusOf(err error) error {
	switch session.HTTPStatus(err) {
	case http.StatusServiceUnavailable:
		return status.Error(codes.Unavailable, "sessions are unavailable")
	case http.StatusConflict:
		return status.Error(codes.Aborted, "the session has changed, repeat the call")
	default:
		return status.Error(codes.Internal, "the session cannot be saved")
	}
}
