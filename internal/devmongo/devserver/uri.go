package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// pingTimeout bounds the wait for the server in MONGO_URI.
const pingTimeout = 5 * time.Second

// useURI returns the server in MONGO_URI, if it responds. If it does not, no other engine is tried.
func useURI(ctx context.Context, _ *config) (*instance, error) {
	uri, ok := os.LookupEnv("MONGO_URI")
	if !ok {
		return nil, skip("MONGO_URI is not set")
	}
	opts, err := parseURI(uri)
	if err != nil {
		return nil, fmt.Errorf("MONGO_URI %w", err)
	}
	inst := &instance{uri: uri, credential: opts.Auth, stop: func() error { return nil }}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := ping(ctx, opts); err != nil {
		hosts := addresses(opts.Hosts)
		if isAuth(err) {
			return nil, fmt.Errorf("MONGO_URI: the server at %s refused the user name or the password: "+
				"check both, and authSource: %w", hosts, inst.redact(err))
		}
		return nil, fmt.Errorf("MONGO_URI: no answer from %s within %s: start that server, "+
			"or unset MONGO_URI to have one started: %w", hosts, pingTimeout, inst.redact(err))
	}
	return inst, nil
}

// ping returns when the server has responded or ctx is done. The driver retries until then.
func ping(ctx context.Context, opts *options.ClientOptions) error {
	client, err := mongo.Connect(opts)
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx))
	return client.Ping(ctx, nil)
}

// isAuth reports whether err is a refused sign-in, by the server or by the driver.
func isAuth(err error) bool {
	return hasCode(err, authenticationFailed) || strings.Contains(err.Error(), "auth error")
}

var (
	// userinfo matches everything up to the last @, because an unescaped password may contain any character.
	userinfo = regexp.MustCompile(`^(mongodb(?:\+srv)?://).*@`)
	secrets  = regexp.MustCompile(`(?i)(tlsCertificateKeyFilePassword|sslClientCertificateKeyPassword|authMechanismProperties)=[^&]*&?`)
	hostPort = regexp.MustCompile(`^mongodb(?:\+srv)?://[^/?]*?:(\d*[^\d,/?][^,/?]*)`)
)

// parseURI parses a connection string. The errors of the driver quote the string with its password. So parseURI returns
// only errors for a copy without the secrets.
func parseURI(uri string) (*options.ClientOptions, error) {
	switch {
	case strings.TrimSpace(uri) == "":
		return nil, errors.New("is set but empty: give a connection string such as mongodb://127.0.0.1:27017/, " +
			"or unset it to have a server started")
	case !strings.HasPrefix(uri, "mongodb://") && !strings.HasPrefix(uri, "mongodb+srv://"):
		return nil, errors.New("is malformed: it must begin with mongodb:// or mongodb+srv://")
	}
	opts := options.Client().ApplyURI(uri)
	if opts.Validate() == nil {
		return opts, nil
	}
	bare := secrets.ReplaceAllString(userinfo.ReplaceAllString(uri, "$1"), "")
	if !strings.Contains(bare, "[") && hostPort.MatchString(bare) {
		// The string may be mongodb://user:password without the @host, so it is not quoted.
		return nil, errors.New("is malformed: the text after a host's colon is not a port number")
	}
	err := options.Client().ApplyURI(bare).Validate()
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return nil, fmt.Errorf("names a host that cannot be found: %w", err)
	case err != nil:
		return nil, fmt.Errorf("is malformed: %w", err)
	}
	return nil, errors.New("is malformed in its user name, password or authentication options: " +
		"write the characters : / ? # [ ] @ and % in a user name or password as %3A %2F %3F %23 %5B %5D %40 %25")
}

// redact removes the password from the text of err. The driver and servers do not repeat it, so this is a second
// protection. The returned error wraps nothing, because the text could be read by unwrapping.
func (i *instance) redact(err error) error {
	if i.credential == nil || i.credential.Password == "" || !strings.Contains(err.Error(), i.credential.Password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), i.credential.Password, "[password]"))
}

// addresses returns the hosts of a connection string with their ports.
func addresses(hosts []string) string {
	var all []string
	for _, host := range hosts {
		if _, _, err := net.SplitHostPort(host); err != nil && !strings.HasSuffix(host, ".sock") {
			host += ":27017"
		}
		all = append(all, host)
	}
	return strings.Join(all, ", ")
}
