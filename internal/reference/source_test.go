// Package reference_test compares the pages in docs/reference and
// docs/troubleshooting.md with the source code.
package reference_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// sources parses the Go files of a package, without its tests.
func sources(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, f)
	}
	require.NotEmpty(t, files, "no Go files in %q", dir)
	return files
}

// inspect calls f for each node of a package that is an N.
func inspect[N ast.Node](t *testing.T, dir string, f func(N)) {
	t.Helper()
	for _, file := range sources(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			if n, ok := n.(N); ok {
				f(n)
			}
			return true
		})
	}
}

// constant returns the value of a string literal, or of a sum of them.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, ok := constant(e.X)
		right, ok2 := constant(e.Y)
		return left + right, ok && ok2 && e.Op == token.ADD
	}
	return "", false
}

// logCall is a call of a method of slog.Logger.
type logCall struct {
	message string
	level   string
	attrs   []string
}

// logMethod matches the methods of a logger. It gives the level and reports
// whether the message is the second argument.
var logMethod = regexp.MustCompile(`^(Debug|Info|Warn|Error)(Context)?$`)

// logCalls returns the calls of a package that log. Error of net/http and methods
// without arguments do not.
func logCalls(t *testing.T, dir string) (calls []logCall) {
	t.Helper()
	inspect(t, dir, func(call *ast.CallExpr) {
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return
		}
		m := logMethod.FindStringSubmatch(fun.Sel.Name)
		if x, ok := fun.X.(*ast.Ident); m == nil || ok && x.Name == "http" {
			return
		}
		at := 0
		if m[2] != "" {
			at = 1
		}
		if len(call.Args) <= at {
			return
		}
		message, ok := constant(call.Args[at])
		require.True(t, ok, "the message of a call of %s in %q is not a constant", fun.Sel.Name, dir)
		c := logCall{message: message, level: strings.ToLower(m[1])}
		for i := at + 1; i < len(call.Args); i += 2 {
			key, ok := constant(call.Args[i])
			require.True(t, ok, "an attribute of %q has no constant key", message)
			c.attrs = append(c.attrs, key)
		}
		calls = append(calls, c)
	})
	return calls
}

// functions returns the exported functions of a package whose name begins with
// one of the prefixes.
func functions(t *testing.T, dir string, prefixes ...string) (names []string) {
	t.Helper()
	inspect(t, dir, func(f *ast.FuncDecl) {
		has := func(prefix string) bool { return strings.HasPrefix(f.Name.Name, prefix) }
		if f.Recv == nil && slices.ContainsFunc(prefixes, has) {
			names = append(names, f.Name.Name)
		}
	})
	return names
}

// values returns the constants and variables of a package whose declaration
// contains a constant string: the name and the string. The string may be the
// argument of a function or the operand of a conversion.
func values(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	inspect(t, dir, func(spec *ast.ValueSpec) {
		for i, e := range spec.Values {
			if call, ok := e.(*ast.CallExpr); ok && len(call.Args) == 1 {
				e = call.Args[0]
			}
			if text, ok := constant(e); ok && i < len(spec.Names) {
				found[spec.Names[i].Name] = text
			}
		}
	})
	return found
}

// verb matches a verb of a format.
var verb = regexp.MustCompile(`%[+#]?[vqsdTw]`)

// plain replaces the verbs of a format with an ellipsis.
func plain(format string) string { return verb.ReplaceAllString(format, "…") }

// panics returns the constant texts with which a package panics.
func panics(t *testing.T, dir string) (texts []string) {
	t.Helper()
	inspect(t, dir, func(call *ast.CallExpr) {
		if fun, ok := call.Fun.(*ast.Ident); !ok || fun.Name != "panic" {
			return
		}
		arg := call.Args[0]
		if format, ok := arg.(*ast.CallExpr); ok && len(format.Args) > 0 {
			arg = format.Args[0]
		}
		if text, ok := constant(arg); ok {
			texts = append(texts, plain(text))
		}
	})
	return texts
}

// literals returns all strings of a package.
func literals(t *testing.T, dir string) (texts []string) {
	t.Helper()
	inspect(t, dir, func(e ast.Expr) {
		if text, ok := constant(e); ok {
			texts = append(texts, plain(text))
		}
	})
	return texts
}
