package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/internal/testserver"
)

func TestCommands_BadInput(t *testing.T) {
	const id = "0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2b3"
	for _, test := range []struct {
		args string
		err  string
	}{
		{"unknown", `unknown command "unknown" for "session"`},
		{"--unknown", "unknown flag: --unknown"},
		{"doctor extra", `unknown command "extra" for "session doctor"`},
		{"doctor --rounds 0", "--rounds must be from 1 to 10000"},
		{"doctor --rounds many", `invalid argument "many" for "--rounds"`},
		{"doctor --wait=-1s", "--wait must be at most 1h"},
		{"doctor --wait=2h", "--wait must be at most 1h"},
		{"doctor --url example.com", "--url must be an absolute URL"},
		{"list", "accepts 1 arg(s), received 0"},
		{"list ann bob", "accepts 1 arg(s), received 2"},
		{"show", "accepts 1 arg(s), received 0"},
		{"show ann", "an ID is written as 8-4-4-4-12 hexadecimal digits"},
		{"show " + strings.Replace(id, "0", "x", 1), "hexadecimal digits"},
		{"revoke ann", "an ID is written as"},
		{"revoke", "accepts 1 arg(s), received 0"},
		{"revoke-all", "accepts 1 arg(s), received 0"},
		{"count ann", `unknown command "ann" for "session count"`},
		{"stats ann", `unknown command "ann"`},
		{"top --interval 1ms", "--interval must be at least 1s"},
		{"top -n -1", "--rounds must not be negative"},
		{"top -n x", "invalid argument"},
		{"purge", "want either --expired or --anonymous-unseen"},
		{"purge --yes", "want either --expired or --anonymous-unseen"},
		{"purge --expired --anonymous-unseen 3d", "want either --expired or --anonymous-unseen"},
		{"purge --anonymous-unseen 1h", "--anonymous-unseen must be at least 2h"},
		{"purge --anonymous-unseen 3w", "want a duration such as 30d or 36h"},
		{"purge --anonymous-unseen -3d", "want a duration such as 30d or 36h"},
		{"purge --anonymous-unseen 70000d", "want a duration such as 30d or 36h"},
		{"indexes", "want one of: session indexes check, print, create"},
		{"indexes drop", `unknown command "drop" for "session indexes"`},
		{"watch ann", `unknown command "ann" for "session watch"`},
		{"secret ann", `unknown command "ann" for "session secret"`},
		{"completion", "want one of: session completion bash, zsh"},
		{"completion tcsh", `unknown command "tcsh"`},
	} {
		// The server is not reached, so the command line is refused before.
		r := execute(t, []string{"MONGO_URI=mongodb://127.0.0.1:1/?connectTimeoutMS=50"}, strings.Fields(test.args)...)
		require.Equal(t, 2, r.code, test.args)
		require.Contains(t, r.err, test.err, test.args)
		require.Contains(t, r.err, "session: ", test.args)
		require.NotContains(t, r.err, "no usable server", test.args)
		require.Empty(t, r.out, test.args)
	}
}

func TestCommands_UserOutOfRange(t *testing.T) {
	s := open(t, testserver.Get(t).URI)
	for _, user := range []string{"", "a\xff"} {
		r := s.run(t, "revoke-all", user)
		require.Equal(t, 2, r.code, "%q", user)
		require.Contains(t, r.err, "session: ", "%q", user)
	}
}

func TestCommands_NoServer(t *testing.T) {
	for _, name := range []string{"list x", "show 0198f2a4-7c1e-7d3b-9a52-0c5de1f1a2b3", "revoke-all x", "count", "stats", "top", "purge --expired", "indexes check", "indexes create", "watch"} {
		args := strings.Fields(name)
		for _, test := range []struct{ env, err string }{
			{"HOME=/", "set"},
			{"MONGO_URI=x", "session: "},
			{"REDIS_URL=x", "session: "},
		} {
			r := execute(t, []string{test.env}, args...)
			require.Equal(t, 2, r.code, name)
			require.Empty(t, r.out, name)
			require.Contains(t, r.err, test.err, name)
		}
		if args[0] != "indexes" {
			r := execute(t, []string{"MONGO_URI=mongodb://host", "REDIS_URL=redis://host"}, args...)
			require.Equal(t, result{"", "session: MONGO_URI and REDIS_URL are both set; unset the one that the sessions are not in\n", 2}, r)
			r = execute(t, []string{"REDIS_URL=redis://ann:passw0rd@127.0.0.1:1/?dial_timeout=50ms"}, args...)
			require.Equal(t, 2, r.code)
			require.Contains(t, r.err, "no usable server at 127.0.0.1:1")
			require.NotContains(t, r.err, "passw0rd")
		}
		r := execute(t, []string{"MONGO_URI=mongodb://127.0.0.1:1/?connectTimeoutMS=50"}, args...)
		require.Equal(t, 2, r.code)
		require.Contains(t, r.err, "no usable server at [127.0.0.1:1]")
	}
}

// mongostore redacts its errors too, so this is the only test that fails without
// redact.
func TestRedact_SecretsOfTheEnvironment(t *testing.T) {
	t.Setenv("MONGO_URI", "mongodb://ann:p%40ss@host/?tlsCertificateKeyFilePassword=k3y&w=1")
	t.Setenv("REDIS_URL", "redis://:r3dis@host")
	t.Setenv("SESSION_SECRET", strongSecret)
	t.Setenv("SESSION_SECRET_ALSO", "")
	text := redact("p%40ss p@ss k3y r3dis " + strongSecret + " mongodb://ann:p%40ss@host/?tlsCertificateKeyFilePassword=k3y&w=1 host w=1")
	require.Equal(t, strings.Repeat("[redacted] ", 6)+"host w=1", text)
	t.Setenv("MONGO_URI", "ann:p@ss")
	require.Equal(t, "malformed [redacted]", redact("malformed ann:p@ss"))
}

// A full disk or a closed pipe must not look like success.
func TestCommands_OutputCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full")
	}
	defer full.Close()
	cmd := command(t.Context(), nil, "secret")
	cmd.Stdout = full
	require.Error(t, cmd.Run())
	require.Equal(t, 2, cmd.ProcessState.ExitCode())
}

func TestCompletion_BashAndZsh(t *testing.T) {
	bash := execute(t, nil, "completion", "bash")
	require.Zero(t, bash.code)
	check := exec.CommandContext(t.Context(), "bash", "-n")
	check.Stdin = strings.NewReader(bash.out)
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
	zsh := execute(t, nil, "completion", "zsh")
	require.Zero(t, zsh.code)
	require.True(t, strings.HasPrefix(zsh.out, "#compdef session\n"))
	require.Regexp(t, `(?m)^revoke-all\t`, execute(t, nil, "__complete", "rev").out)
	require.Regexp(t, `(?m)^create\t`, execute(t, nil, "__complete", "indexes", "").out)
	require.Contains(t, execute(t, nil, "__complete", "purge", "--an").out, "--anonymous-unseen")
}

// inTerminal runs a command line whose standard error is a terminal, and returns
// the outputs.
func inTerminal(t *testing.T, s *site, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, []string{"MONGO_URI=" + s.uri, "TERM=xterm"}, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	terminal, tty, err := pty.Open()
	require.NoError(t, err)
	defer terminal.Close()
	cmd.Stderr = tty
	require.NoError(t, cmd.Start())
	require.NoError(t, tty.Close())
	shown, _ := io.ReadAll(terminal) // ends with EIO on Linux when the process has ended
	require.NoError(t, cmd.Wait())
	return out.String(), string(shown)
}

// The purge takes three batches.
func TestProgress_OnlyInATerminal(t *testing.T) {
	s := open(t, replicaSet(t))
	s.withoutTTL(t)
	s.insert(t, "", 0, 0, -day)
	var docs []any
	for range 1001 {
		docs = append(docs, bson.D{{Key: "expires", Value: time.Now().Add(-day)}, {Key: "verifier", Value: []byte{1}}})
	}
	_, err := s.coll.InsertMany(t.Context(), docs)
	require.NoError(t, err)

	out, shown := inTerminal(t, s, "stats")
	require.Contains(t, shown, "reading sessions")
	require.NotContains(t, out, "reading sessions")
	require.Empty(t, s.run(t, "stats").err, "the standard error is no terminal")

	out, shown = inTerminal(t, s, "purge", "--expired", "--yes")
	require.Contains(t, shown, "deleting")
	require.Equal(t, "deleted 1001 records\n", out)
	require.Equal(t, int64(1), s.count(t))
}

// walk calls f for each command, without the ones that cobra hides.
func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			f(c)
			walk(c, f)
		}
	}
}

// The page has each command and flag with the words of its help, and no others.
func TestReference_CommandsAndFlags(t *testing.T) {
	data, err := os.ReadFile("../../docs/reference/command.md")
	require.NoError(t, err)
	page := string(data)
	root := (&app{}).root()

	var want []string
	flags := func(section string, set *pflag.FlagSet) {
		set.VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" || f.Hidden {
				return
			}
			name := "--" + f.Name
			if f.Shorthand != "" {
				name = "-" + f.Shorthand + ", " + name
			}
			want = append(want, section+" | "+name+" | "+f.DefValue)
		})
	}
	flags("Flags", root.PersistentFlags())
	var commands []string
	walk(root, func(c *cobra.Command) {
		if c.Parent().Name() == "completion" {
			return
		}
		path := strings.TrimPrefix(c.CommandPath(), "session ")
		if c.HasParent() && len(strings.Fields(c.Use)) > 1 && c.Name() != "completion" {
			path += strings.TrimPrefix(c.Use, c.Name())
		}
		commands = append(commands, path+" | "+c.Short)
		flags("session "+path, c.LocalNonPersistentFlags())
	})
	require.ElementsMatch(t, commands, table2(page, "Commands"))
	var got []string
	for _, section := range append([]string{"Flags"}, commandSections(page)...) {
		for _, row := range table2(page, section) {
			if strings.Contains(row, "--") {
				got = append(got, strings.ReplaceAll(section, "`", "")+" | "+row)
			}
		}
	}
	require.ElementsMatch(t, want, got)
	for _, code := range []string{"| `0` |", "| `1` |", "| `2` |"} {
		require.Contains(t, page, code)
	}
}

// commandSections returns the headings of the page that name a command.
func commandSections(page string) (list []string) {
	for _, m := range regexp.MustCompile("(?m)^##+ (`session [^`]+`)$").FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

// table2 returns the first two cells of the rows of a section's table.
func table2(page, section string) (rows []string) {
	_, text, _ := strings.Cut(page, "# "+section+"\n")
	text, _, _ = strings.Cut(text, "\n#")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]*?) ?\\|").FindAllStringSubmatch(text, -1) {
		rows = append(rows, m[1]+" | "+strings.ReplaceAll(strings.TrimSpace(m[2]), "`", ""))
	}
	return rows
}

// A go.mod with a replace cannot be run as go run …@latest.
func TestModule_CanBeRunByVersion(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	require.NotContains(t, string(data), "replace")
	require.NotContains(t, string(data), "session/internal")
}
