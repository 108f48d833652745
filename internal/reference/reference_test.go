package reference_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/express"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/mongostore"
)

func page(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs", name))
	require.NoError(t, err)
	return string(data)
}

// rows returns the cells of a section's table rows whose first cell is code.
func rows(t *testing.T, name, section string) (cells [][]string) {
	t.Helper()
	_, text, ok := strings.Cut(page(t, name), "\n## "+section+"\n")
	require.True(t, ok, "%s has no section %q", name, section)
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		row[0] = strings.Trim(row[0], "`")
		cells = append(cells, row)
	}
	return cells
}

func column(rows [][]string, i int) (cells []string) {
	for _, row := range rows {
		cells = append(cells, strings.Trim(row[i], "`"))
	}
	return cells
}

func TestOptions(t *testing.T) {
	const name = "reference/options.md"
	manager := append(rows(t, name, "Manager"), rows(t, name, "Cookie")...)
	require.ElementsMatch(t, functions(t, "", "With", "Dangerously"), column(manager, 0))

	all := manager
	for _, dir := range []string{"mongostore", "redisstore", "console"} {
		var want []string
		for _, option := range functions(t, dir, "With", "Dangerously") {
			want = append(want, dir+"."+option)
		}
		store := rows(t, name, dir)
		require.ElementsMatch(t, want, column(store, 0))
		all = append(all, store...)
	}
	for _, row := range all {
		require.Len(t, row, 4, "%s: want default, range and effect", row[0])
	}
}

// ours returns the errors among the values of a package.
func ours(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := values(t, dir)
	maps.DeleteFunc(found, func(name, _ string) bool { return !strings.HasPrefix(strings.ToLower(name), "err") })
	return found
}

func TestErrors(t *testing.T) {
	const name = "reference/errors.md"
	values := map[string]error{
		"ErrNotFound": session.ErrNotFound, "ErrConflict": session.ErrConflict, "ErrSuperseded": session.ErrSuperseded,
		"ErrCrossSite": session.ErrCrossSite, "ErrOutsidePath": session.ErrOutsidePath, "ErrRevoked": session.ErrRevoked,
		"ErrUncertain": session.ErrUncertain, "ErrTooLarge": session.ErrTooLarge, "ErrUnavailable": session.ErrUnavailable,
		"ErrUndeliverable": session.ErrUndeliverable,
	}
	var sentinels, texts []string
	for _, dir := range []string{"", "mongostore", "redisstore", "memstore"} {
		for name, text := range ours(t, dir) {
			if strings.HasPrefix(name, "Err") {
				sentinels = append(sentinels, name)
			}
			texts = append(texts, text)
		}
	}
	errors := rows(t, name, "Errors")
	require.ElementsMatch(t, sentinels, column(errors, 0))
	for _, row := range errors {
		require.Len(t, row, 4, "%s: want cause, status and remedy", row[0])
		status, _, _ := strings.Cut(row[2], ",")
		require.Contains(t, values, row[0])
		require.Equal(t, strconv.Itoa(session.HTTPStatus(values[row[0]])), status, row[0])
	}
	require.ElementsMatch(t, texts, column(rows(t, name, "Texts"), 0))
}

func TestPanics(t *testing.T) {
	require.ElementsMatch(t, append(panics(t, ""), append(panics(t, "memstore"), panics(t, "mongostore")...)...),
		column(rows(t, "reference/errors.md", "Panics"), 0))
}

func TestEvents(t *testing.T) {
	want := values(t, "")
	maps.DeleteFunc(want, func(name, _ string) bool { return !strings.HasPrefix(name, "Event") })
	got := map[string]string{}
	for _, row := range rows(t, "reference/events-and-logs.md", "Events") {
		got[row[0]] = strings.Trim(row[1], "`")
	}
	require.Equal(t, want, got)
}

func TestReasons(t *testing.T) {
	want := values(t, "")
	maps.DeleteFunc(want, func(name, _ string) bool { return !strings.HasPrefix(name, "Reason") })
	events := column(rows(t, "reference/events-and-logs.md", "Events"), 1)
	got := map[string]string{}
	for _, row := range rows(t, "reference/events-and-logs.md", "Reasons") {
		require.Len(t, row, 4, "%s: want value, events and meaning", row[0])
		got[row[0]] = strings.Trim(row[1], "`")
		for event := range strings.SplitSeq(row[2], ", ") {
			require.Contains(t, events, strings.Trim(event, "`"), row[0])
		}
	}
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
}

func TestOperations(t *testing.T) {
	const page = "reference/events-and-logs.md"
	want := values(t, "")
	maps.DeleteFunc(want, func(name, _ string) bool {
		return !strings.HasPrefix(name, "Operation") && !strings.HasPrefix(name, "Admission") && !strings.HasPrefix(name, "Outcome")
	})
	operations := rows(t, page, "Operations")
	got := map[string]string{}
	for _, row := range operations {
		require.Len(t, row, 3, "%s: want value and meaning", row[0])
		got[row[0]] = strings.Trim(row[1], "`")
	}
	for _, row := range rows(t, page, "Outcomes") {
		require.Len(t, row, 4, "%s: want value, operations and meaning", row[0])
		got[row[0]] = strings.Trim(row[1], "`")
		for op := range strings.SplitSeq(row[2], ", ") {
			require.Contains(t, column(operations, 1), strings.Trim(op, "`"), row[0])
		}
	}
	require.Equal(t, want, got)
}

func TestLogMessages(t *testing.T) {
	const page = "reference/events-and-logs.md"
	requireLogMessages(t, page, "Log messages of session", "")
	requireLogMessages(t, page, "Log messages of mongostore", "mongostore")
	requireLogMessages(t, page, "Log messages of redisstore", "redisstore")
	requireLogMessages(t, page, "Log messages of console", "console")
	require.Empty(t, logCalls(t, "memstore"))
}

// requireLogMessages compares the table of a section with the log calls of a
// package.
func requireLogMessages(t *testing.T, page, section, dir string) {
	t.Helper()
	var got []logCall
	for _, row := range rows(t, page, section) {
		require.Len(t, row, 5, "%s: want level, attributes, cause and remedy", row[0])
		c := logCall{message: row[0], level: row[1]}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			c.attrs = append(c.attrs, m[1])
		}
		got = append(got, c)
	}
	want := logCalls(t, dir)
	require.NotEmpty(t, want)
	require.ElementsMatch(t, want, got, section)
}

func TestFieldsOfTheDocument(t *testing.T) {
	for section, dir := range map[string]string{"Fields": "mongostore", "The hash in Redis": "redisstore"} {
		fields := values(t, dir)
		maps.DeleteFunc(fields, func(name, _ string) bool { return !strings.HasPrefix(name, "field") })
		require.ElementsMatch(t, slices.Collect(maps.Values(fields)), column(rows(t, "reference/document.md", section), 0))
	}
}

// TestExpress compares the page of package express with its source.
func TestExpress(t *testing.T) {
	const page = "reference/express.md"
	var got, want []string
	for _, section := range []string{"Options of Open", "Options of NewMongoStore", "Options of redisexpress"} {
		for _, row := range rows(t, page, section) {
			require.Len(t, row, 4, "%s: want default, range and effect", row[0])
			got = append(got, row[0])
		}
	}
	for name, dir := range map[string]string{"express.": "express", "redisexpress.": "express/redisexpress"} {
		for _, option := range functions(t, dir, "With") {
			want = append(want, name+option)
		}
	}
	require.ElementsMatch(t, want, got)
	require.Equal(t, []string{"ErrDamaged"}, column(rows(t, page, "Errors"), 0))
	require.Equal(t, "500", rows(t, page, "Errors")[0][2])
	require.Equal(t, 500, session.HTTPStatus(express.ErrDamaged))
	require.ElementsMatch(t, slices.Collect(maps.Values(ours(t, "express"))), column(rows(t, page, "Texts"), 0))
	require.ElementsMatch(t, panics(t, "express"), column(rows(t, page, "Panics"), 0))
	requireLogMessages(t, page, "Log messages", "express")
	require.Empty(t, logCalls(t, "express/redisexpress"))
}

// errorsOf returns texts of errors composed of several strings.
func errorsOf(t *testing.T) (texts []string) {
	t.Helper()
	store := memstore.New()
	for _, f := range []func() error{
		func() error { _, err := session.New(store, ""); return err },
		func() error { _, err := session.New(store, "short"); return err },
		func() error { _, err := session.New(store, strings.Repeat("a", 32)); return err },
		func() error { _, err := mongostore.Open(context.Background(), ""); return err },
	} {
		err := f()
		require.Error(t, err)
		texts = append(texts, regexp.MustCompile(`\b\d+ bytes`).ReplaceAllString(err.Error(), "… bytes"))
	}
	return texts
}

// TestTroubleshooting checks that each heading with code quotes a message, except
// those of the last section. An ellipsis stands for a variable part.
func TestTroubleshooting(t *testing.T) {
	texts := errorsOf(t)
	for _, dir := range []string{"", "mongostore", "redisstore", "memstore", "console", "internal/secrets"} {
		texts = append(texts, literals(t, dir)...)
	}
	messages, _, ok := strings.Cut(page(t, "troubleshooting.md"), "\n## Behavior without a message\n")
	require.True(t, ok)
	headings := regexp.MustCompile("(?m)^#+ .*?`(.+)`.*$").FindAllStringSubmatch(messages, -1)
	require.Greater(t, len(headings), 10)
	for _, h := range headings {
		known := slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, h[1]) })
		require.True(t, known, "no message contains %q", h[1])
	}
}
