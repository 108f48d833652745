package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/cmd/session/internal/backend"
)

// shown is a record in JSON.
type shown struct {
	info
	RenewedAt time.Time  `json:"renewedAt,omitzero"`
	Marker    bool       `json:"marker,omitempty"`
	Live      bool       `json:"live"`
	Keys      []shownKey `json:"keys"`
}

// shownKey is a key in JSON. It has at most one of the fields Value and Base64.
type shownKey struct {
	Name   string          `json:"name"`
	Size   int             `json:"size"`
	Form   string          `json:"form"` // json, text, binary, encrypted, unknown or damaged
	KeyID  string          `json:"keyID,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"`
	Base64 string          `json:"base64,omitempty"`
}

func (a *app) showCommand() *cobra.Command {
	values := false
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a session and the names and sizes of its keys",
		Long: "Shows the fields of a session, and the name and size in bytes of each key. It never shows the verifier and the salt of the token. " +
			"Encrypted values are not decrypted.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := session.ParseID(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(b backend.Backend) error {
				rec, err := load(cmd.Context(), b, id)
				if err != nil {
					return err
				}
				s := show(rec, values, time.Now())
				return a.print(s, func(w io.Writer) { s.print(w, values) })
			})
		},
	}
	cmd.Flags().BoolVar(&values, "values", false, "show the values too, which may be personal data")
	return cmd
}

func show(rec *session.Record, values bool, now time.Time) shown {
	s := shown{
		info: infoOf(rec.Info), RenewedAt: rec.RenewedAt, Marker: rec.Verifier == nil,
		Live: rec.Verifier != nil && now.Before(rec.ExpiresAt) && now.Before(rec.Deadline), Keys: []shownKey{},
	}
	for _, name := range slices.Sorted(maps.Keys(rec.Values)) {
		s.Keys = append(s.Keys, showKey(name, rec.Values[name].Data, values))
	}
	return s
}

// showKey describes a stored value. Its forms are those of
// docs/reference/document.md.
func showKey(name string, data []byte, values bool) shownKey {
	k := shownKey{Name: name, Size: len(data)}
	escaped := len(data) > 0 && data[0] == 0xFF
	switch {
	case data == nil:
		k.Form = "damaged"
		return k
	case escaped && len(data) >= 6 && data[1] == 0x01:
		k.Form, k.KeyID = "encrypted", hex.EncodeToString(data[2:6])
		return k
	case escaped && len(data) > 1 && data[1] == 0x00:
		data = data[2:]
		k.Form = "binary"
	case escaped:
		k.Form = "unknown"
	case json.Valid(data):
		k.Form = "json"
	case utf8.Valid(data):
		k.Form = "text"
	default:
		k.Form = "binary"
	}
	if values {
		k.setValue(data)
	}
	return k
}

func (k *shownKey) setValue(data []byte) {
	switch k.Form {
	case "json":
		var b bytes.Buffer
		_ = json.Compact(&b, data)
		k.Value = b.Bytes()
	case "text":
		k.Value, _ = json.Marshal(string(data))
	default:
		k.Base64 = base64.StdEncoding.EncodeToString(data)
	}
}

func (s *shown) print(w io.Writer, values bool) {
	state := "live"
	switch {
	case s.Marker:
		state = "revocation marker, not a session"
	case !s.Live:
		state = "expired"
	}
	rows := [][]string{{"ID", s.ID.String()}, {"state", state}}
	add := func(name, text string) {
		if text != "" && text != "-" {
			rows = append(rows, []string{name, text})
		}
	}
	if !s.Marker {
		add("user", userText(s.User))
	}
	add("created", date(s.CreatedAt))
	add("signed in", date(s.SignedInAt))
	add("token renewed", date(s.RenewedAt))
	add("last seen", date(s.LastSeenAt))
	add("expires", date(s.ExpiresAt))
	add("deadline", date(s.Deadline))
	if s.IdleTimeout > 0 {
		add("idle timeout", time.Duration(s.IdleTimeout*float64(time.Second)).String())
	}
	add("address", s.ClientIP)
	add("user agent", s.UserAgent)
	table(w, rows...)
	fmt.Fprintf(w, "\n%s\n", plural(int64(len(s.Keys)), "key"))
	rows = nil
	for _, k := range s.Keys {
		form := k.Form
		if k.KeyID != "" {
			form += ", with the secret of key ID " + k.KeyID
		}
		row := []string{"  " + k.Name, fmt.Sprintf("%d B", k.Size), form}
		if values {
			row = append(row, string(k.Value)+k.Base64)
		}
		rows = append(rows, row)
	}
	table(w, rows...)
}
