// Package readme_test tests the documentation. Blocks of Go are in tested files,
// commands are run somewhere, tables name every option and error, and no link is
// dead.
package readme_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Main(m)) }

const root = "../.."

// pages returns the pages of the documentation.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(root + "/*.md")
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir(root+"/docs", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// flat removes indentation, and empty lines at both ends.
func flat(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

// tested returns the Go files of packages with tests.
func tested(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return fs.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		if tests, _ := filepath.Glob(filepath.Dir(path) + "/*_test.go"); len(tests) > 0 {
			files[path] = flat(read(t, path))
		}
		return nil
	}))
	return files
}

func TestGoBlocksStandInTestedFiles(t *testing.T) {
	files := tested(t)
	count := 0
	for _, page := range pages(t) {
		for _, block := range blocks(read(t, page), "go") {
			count++
			stands := false
			for _, text := range files {
				stands = stands || strings.Contains(text, flat(block))
			}
			if !stands {
				t.Errorf("%s: this block is in no tested Go file:\n%s", page, block)
			}
		}
	}
	require.Greater(t, count, 10)
}

func TestTheProgramIsTheExample(t *testing.T) {
	program := read(t, root+"/examples/minimal/main.go")
	require.Contains(t, blocks(read(t, root+"/README.md"), "go"), program)
	if lines := strings.Count(program, "\n"); lines > 70 {
		t.Errorf("the program has %d lines", lines)
	}
}

// A stranger reads the README to its end only if it is short.
func TestLengthOfTheReadme(t *testing.T) {
	text := read(t, root+"/README.md")
	if lines, words := strings.Count(text, "\n"), len(strings.Fields(text)); lines > 220 || words > 1300 {
		t.Errorf("the README has %d lines and %d words", lines, words)
	}
}

// runs maps the commands of the documentation to the file of the test or script
// for the command, and to a text in this file.
var runs = map[string][2]string{
	"go run -C examples/demo .":                               {".ci/run", "go run -C examples/demo . -check"},
	"go run -C examples/demo . -check":                        {".ci/run", "go run -C examples/demo . -check"},
	"go run -C examples/express .":                            {"examples/express/browser_test.go", "func TestCommand_InstallsAndServes("},
	"go test ./...":                                           {".ci/run", "go test -race -shuffle=on"},
	"bash .ci/run":                                            {".ci/run", "#!/usr/bin/env bash"},
	"go run ./internal/prose":                                 {"internal/prose/main.go", "go run ./internal/prose"},
	"go get github.com/holdfast-go/session":                   {install, `"go get github.com/holdfast-go/session`},
	`export SESSION_SECRET="$(openssl rand -base64 32)"`:      {install, "func TestProgramOfTheReadme("},
	"go mod init example.com/hello":                           {install, "func TestProgramOfTheReadme("},
	"go mod tidy":                                             {install, "func TestProgramOfTheReadme("},
	"go run .":                                                {install, "func TestProgramOfTheReadme("},
	"ADDR=localhost:8081 go run .":                            {"examples/tutorial/main_test.go", `"ADDR="`},
	dockerRun:                                                 {".github/workflows/ci.yml", "docker run -d --name mongo -p 127.0.0.1:27017:27017"},
	"export MONGO_URI=mongodb://localhost:27017/app":          {".github/workflows/ci.yml", "MONGO_URI: mongodb://127.0.0.1:27017/"},
	"go run -C internal/devmongo . -listen localhost:27017":   {"internal/devmongo/main_test.go", `"-listen", "127.0.0.1:0"`},
	"DEVMONGO_ENGINE=ferretdb go test ./...":                  {".ci/run", "DEVMONGO_ENGINE=ferretdb tests ferretdb"},
	"MONGO_URI=mongodb://localhost:27017 go test -race ./...": {".ci/run", "MONGO_URI=mongodb://127.0.0.1:27917 tests secantus"},

	// The command, run and installed from a release.
	"go run github.com/holdfast-go/session/cmd/session@latest doctor": {latest, `"run", "github.com/holdfast-go/session/cmd/session@latest"`},
	"go install github.com/holdfast-go/session/cmd/session@latest":    {latest, `"install", "github.com/holdfast-go/session/cmd/session@latest"`},
}

const (
	install   = "internal/readme/install_test.go"
	latest    = "cmd/session/latest_test.go"
	dockerRun = "docker run -d --name mongo -p 127.0.0.1:27017:27017 mongo:8.0"
)

func TestCommandsAreRunSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, block := range blocks(read(t, page), "sh") {
			for command := range strings.Lines(block) {
				command = strings.TrimSpace(command)
				where, ok := runs[command]
				if !ok {
					t.Errorf("%s: nothing runs the command %q", page, command)
				} else if !strings.Contains(read(t, filepath.Join(root, where[0])), where[1]) {
					t.Errorf("%s: the command %q should be run by %s, which has no %q", page, command, where[0], where[1])
				}
			}
		}
	}
	first := blocks(read(t, root+"/README.md"), "sh")
	require.Equal(t, "go get github.com/holdfast-go/session\n", first[0])
	require.Equal(t, "go run -C examples/demo .\ngo test ./...\n", first[1])
}

// exported returns the exported names of a package, of functions without receiver
// and of variables.
func exported(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names = append(names, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
						for _, name := range v.Names {
							names = append(names, name.Name)
						}
					}
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !ast.IsExported(name) })
}

// rows returns the cells of the rows of a section's table whose first cell is code.
func rows(t *testing.T, page, section string) (cells [][]string) {
	t.Helper()
	_, text, ok := strings.Cut(read(t, filepath.Join(root, page)), "\n## "+section+"\n")
	require.True(t, ok, "%s has no section %q", page, section)
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| `") {
			row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range row {
				row[i] = strings.TrimSpace(row[i])
			}
			row[0] = strings.Trim(row[0], "`")
			cells = append(cells, row)
		}
	}
	return cells
}

func TestOptionsTables(t *testing.T) {
	const page = "docs/reference/options.md"
	for dir, sections := range map[string][]string{".": {"Manager", "Cookie"}, "mongostore": {"mongostore"}} {
		var want, got []string
		for _, name := range exported(t, dir) {
			if strings.HasPrefix(name, "With") || strings.HasPrefix(name, "Dangerously") {
				want = append(want, name)
			}
		}
		for _, section := range sections {
			for _, row := range rows(t, page, section) {
				got = append(got, strings.TrimPrefix(row[0], "mongostore."))
				require.Len(t, row, 4, "%s: default, range, effect", row[0])
			}
		}
		require.ElementsMatch(t, want, got)
	}
}

func TestErrorsTable(t *testing.T) {
	values := map[string]error{
		"ErrNotFound": session.ErrNotFound, "ErrConflict": session.ErrConflict, "ErrSuperseded": session.ErrSuperseded,
		"ErrCrossSite": session.ErrCrossSite, "ErrOutsidePath": session.ErrOutsidePath, "ErrRevoked": session.ErrRevoked, "ErrUncertain": session.ErrUncertain,
		"ErrTooLarge": session.ErrTooLarge, "ErrUnavailable": session.ErrUnavailable, "ErrUndeliverable": session.ErrUndeliverable,
	}
	var want, got []string
	for _, name := range append(exported(t, "."), exported(t, "mongostore")...) {
		if strings.HasPrefix(name, "Err") {
			want = append(want, name)
		}
	}
	for _, row := range rows(t, "docs/reference/errors.md", "Errors") {
		require.Len(t, row, 4, "%s: cause, status, remedy", row[0])
		got = append(got, row[0])
		require.Contains(t, values, row[0])
		status, _, _ := strings.Cut(row[2], ",")
		require.Equal(t, strconv.Itoa(session.HTTPStatus(values[row[0]])), status, row[0])
	}
	require.ElementsMatch(t, want, got)
	require.Equal(t, 500, session.HTTPStatus(errors.New("not of this package")))
}

var (
	links   = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fences  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// anchors returns the anchors of the headings on GitHub.
func anchors(text string) (found []string) {
	for _, m := range heading.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127:
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		found = append(found, kept)
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range links.FindAllStringSubmatch(fences.ReplaceAllString(read(t, page), ""), -1) {
			link := m[1] + m[2]
			if strings.HasPrefix(link, "https://") {
				continue
			}
			path, anchor, _ := strings.Cut(link, "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link to %s is dead", page, link)
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: the link to %s finds no such heading", page, link)
			}
		}
	}
}

// Paths of a certain machine do not belong in documentation.
func TestPages_NoPathOfAMachine(t *testing.T) {
	for _, page := range pages(t) {
		text := read(t, page)
		for _, path := range []string{"/work/", "/root/", "/home/", "/tmp/"} {
			require.NotContains(t, text, path, fmt.Sprintf("%s names a folder of some machine", page))
		}
	}
}

// logMessages returns the log messages of the package in dir.
func logMessages(t *testing.T, dir string) (messages []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, strings.TrimSuffix(f.Sel.Name, "Context")) {
				return true
			}
			for _, arg := range call.Args {
				if text := literal(arg); strings.HasPrefix(text, "session: ") || strings.HasPrefix(text, "mongostore: ") {
					messages = append(messages, text)
				}
			}
			return true
		})
	}
	return messages
}

// literal returns the value of a string literal or of a sum of them.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}

func TestLogMessagesAndEventsAreInTheReference(t *testing.T) {
	const page = "docs/reference/events-and-logs.md"
	messages := slices.Concat(logMessages(t, "."), logMessages(t, "mongostore"))
	require.Greater(t, len(messages), 5)
	text := strings.Join(strings.Fields(read(t, filepath.Join(root, page))), " ")
	for _, message := range messages {
		if !strings.Contains(text, message) {
			t.Errorf("%s does not have the log message %q", page, message)
		}
	}
	for _, kind := range []session.EventKind{
		session.EventLoad, session.EventInsert, session.EventUpdate, session.EventDelete, session.EventList,
		session.EventStaleToken, session.EventLostChange, session.EventExpired, session.EventCreated, session.EventSignedIn,
		session.EventSignedOut, session.EventRenewed, session.EventRevoked, session.EventEvicted,
	} {
		if !strings.Contains(text, "`"+string(kind)+"`") {
			t.Errorf("%s does not have the event %q", page, kind)
		}
	}
}
