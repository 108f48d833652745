package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/internal/faultmongo/realserver"
	"github.com/holdfast-go/session/mongostore"
)

// proveAuth creates a user and then requires passwords.
func proveAuth(ctx context.Context, r *run) error {
	dir, err := r.folder("auth")
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "wt")
	open, err := realserver.Secantus(data, "--standalone")
	if err != nil {
		return err
	}
	const password = "correct-horse-battery"
	if err := createUser(ctx, open.URI, password); err != nil {
		return errors.Join(err, open.Stop())
	}
	_ = open.Stop()
	server, err := realserver.Secantus(data, "--standalone", "--auth")
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	const wrong = "wrong-horse-battery"
	f := new(failures)
	f.opens(ctx, "the right password", "mongodb://app:"+password+"@"+server.Addr+"/?authSource=admin")
	text := f.refuses(ctx, "a wrong password", "mongodb://app:"+wrong+"@"+server.Addr+"/?authSource=admin", "auth", wrong, password)
	r.say("SCRAM-SHA-256: the right password accepted; a wrong one: %s", text)
	text = f.refuses(ctx, "no password", "mongodb://"+server.Addr+"/", "auth", password)
	r.say("no credentials: %s", text)
	return f.err()
}

func createUser(ctx context.Context, uri, password string) error {
	client, done, err := connect(uri)
	if err != nil {
		return err
	}
	defer done()
	return client.Database("admin").RunCommand(ctx, bson.D{
		{Key: "createUser", Value: "app"},
		{Key: "pwd", Value: password},
		{Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: "readWriteAnyDatabase"}, {Key: "db", Value: "admin"}}}},
	}).Err()
}

const impatient = "&connectTimeoutMS=3000"

func (f *failures) opens(ctx context.Context, what, uri string) {
	s, err := mongostore.Open(ctx, uri+impatient)
	if err != nil {
		f.add("%s: %v", what, err)
		return
	}
	_ = s.Close(ctx)
}

// refuses returns the text of the error, which must name the cause and contain
// no secret.
func (f *failures) refuses(ctx context.Context, what, uri, cause string, secrets ...string) string {
	s, err := mongostore.Open(ctx, strings.Replace(uri+impatient, "/&", "/?", 1))
	if err == nil {
		f.add("%s was accepted", what)
		return "accepted"
	}
	if s != nil {
		_ = s.Close(ctx)
	}
	text := err.Error()
	if !strings.Contains(strings.ToLower(text), cause) {
		f.add("%s: the error does not contain %q: %s", what, cause, text)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			f.add("%s: the error contains a password", what)
		}
	}
	return text
}

// proveTLS creates two certificate authorities. The server uses one of them.
func proveTLS(ctx context.Context, r *run) error {
	dir, err := r.folder("tls")
	if err != nil {
		return err
	}
	ours, err := newAuthority(dir, "ours")
	if err != nil {
		return err
	}
	other, err := newAuthority(dir, "other")
	if err != nil {
		return err
	}
	cert, key, err := ours.issue(dir)
	if err != nil {
		return err
	}
	server, err := realserver.Secantus(filepath.Join(dir, "wt"), "--standalone", "--tls-cert-file", cert, "--tls-key-file", key)
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	uri := "mongodb://" + server.Addr + "/?tls=true&tlsCAFile="
	f := new(failures)
	f.opens(ctx, "the right authority", uri+ours.file)
	text := f.refuses(ctx, "a wrong authority", uri+other.file, "certificate")
	r.say("TLS: the right authority accepted; a wrong one: %s", text)
	text = f.refuses(ctx, "no TLS", "mongodb://"+server.Addr+"/", "no usable server")
	r.say("no credentials: %s", text)
	return f.err()
}

// authority signs certificates.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(dir, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{file: filepath.Join(dir, name+".pem"), cert: cert, key: key}
	return a, writePEM(a.file, "CERTIFICATE", der)
}

// issue creates the server's certificate and key.
func (a *authority) issue(dir string) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	return certFile, keyFile, errors.Join(writePEM(certFile, "CERTIFICATE", der), writePEM(keyFile, "PRIVATE KEY", private))
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
