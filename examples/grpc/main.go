// Command grpc is a gRPC service with sessions. The token is in the metadata of each call.
package main

import (
	"context"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/mongostore"
)

const cart session.Key[[]string] = "cart"

func main() {
	store, err := mongostore.Open(context.Background(), os.Getenv("MONGO_URI"))
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.New(store, os.Getenv("SESSION_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "localhost:8080")
	if err != nil {
		log.Fatal(err)
	}
	log.Print("gRPC on ", listener.Addr())
	log.Fatal(newServer(sessions).Serve(listener))
}

func newServer(sessions *session.Manager) *grpc.Server {
	server := grpc.NewServer(grpc.UnaryInterceptor(withSession(sessions)))
	server.RegisterService(&shopService, shop{})
	return server
}

// shop has one value in and one value out per method, so that the example needs no generated code.
type shop struct{}

func (shop) signIn(ctx context.Context, name *wrapperspb.StringValue) (*emptypb.Empty, error) {
	session.FromContext(ctx).SignIn(name.Value) // after your own check of the credentials
	return &emptypb.Empty{}, nil
}

func (shop) signOut(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	session.FromContext(ctx).SignOut()
	return &emptypb.Empty{}, nil
}

// add adds a product to the cart and returns the number of products in it.
func (shop) add(ctx context.Context, product *wrapperspb.StringValue) (*wrapperspb.Int64Value, error) {
	s := session.FromContext(ctx)
	if s.User() == "" {
		return nil, status.Error(codes.Unauthenticated, "sign in first")
	}
	products, err := cart.Update(ctx, s, func(c []string) []string { return append(c, product.Value) })
	if err != nil {
		return nil, statusOf(err)
	}
	return wrapperspb.Int64(int64(len(products))), nil
}

// shopService is what protoc-gen-go-grpc would generate.
var shopService = grpc.ServiceDesc{
	ServiceName: "example.Shop",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		unary("SignIn", shop.signIn),
		unary("SignOut", shop.signOut),
		unary("Add", shop.add),
	},
}

func unary[In, Out any](name string, method func(shop, context.Context, *In) (*Out, error)) grpc.MethodDesc {
	handler := func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(In)
		if err := decode(in); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/example.Shop/" + name}
		return intercept(ctx, in, info, func(ctx context.Context, req any) (any, error) {
			return method(srv.(shop), ctx, req.(*In))
		})
	}
	return grpc.MethodDesc{MethodName: name, Handler: handler}
}
