package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) secretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Print a new secret",
		Long:  "Prints a new secret for SESSION_SECRET, which is 32 random bytes in base64. It connects to no server.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var b [32]byte
			rand.Read(b[:])
			secret := base64.StdEncoding.EncodeToString(b[:])
			return a.print(map[string]string{"secret": secret}, func(w io.Writer) { fmt.Fprintln(w, secret) })
		},
	}
}
