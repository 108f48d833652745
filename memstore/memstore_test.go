package memstore_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
	"github.com/holdfast-go/session/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) session.Store { return memstore.New() })
}

// The test builds a program, because New does not panic in a test binary.
func TestNew_InAProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/program").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, tc := range []struct {
		name string
		args []string
		want []string
	}{
		{"New", nil, []string{"memstore: New is for tests only", "loses every session on restart", "use mongostore.Open"}},
		{"a Store of one's own", []string{"zero"}, []string{"memstore: this Store was not made by New", "mongostore.Open in a program"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), program, tc.args...).CombinedOutput()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
				t.Fatalf("the program ran on (%v), want a panic; it printed:\n%s", err, out)
			}
			for _, text := range append(tc.want, "panic: ") {
				if !strings.Contains(string(out), text) {
					t.Errorf("the panic does not say %q; the program printed:\n%s", text, out)
				}
			}
		})
	}
}

func TestInsert_CutsTimesToMilliseconds(t *testing.T) {
	s := memstore.New()
	seen := time.Date(2026, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("", 3600))
	rec := &session.Record{Info: session.Info{ID: session.ID{1}, LastSeenAt: seen}}
	if err := s.Insert(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(t.Context(), rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 1, 2, 2, 4, 5, 678_000_000, time.UTC); got.LastSeenAt != want {
		t.Errorf("LastSeenAt = %v, want %v", got.LastSeenAt, want)
	}
}

func TestLen(t *testing.T) {
	s := memstore.New()
	for i := range 3 {
		if err := s.Insert(t.Context(), &session.Record{Info: session.Info{ID: session.ID{byte(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), session.ID{1}); err != nil {
		t.Fatal(err)
	}
	if got := s.Len(); got != 2 {
		t.Errorf("Len() = %d after three inserts and one delete, want 2", got)
	}
}
