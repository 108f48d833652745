package main

import (
	"fmt"
	"io"
	"strings"
)

// mdTable is a Markdown table.
type mdTable struct {
	out     io.Writer
	columns int
	err     error
}

func newTable(out io.Writer, head ...string) *mdTable {
	t := &mdTable{out: out, columns: len(head)}
	t.row(head...)
	t.row(strings.Split(strings.Repeat("---,", len(head)-1)+"---", ",")...)
	return t
}

func (t *mdTable) row(cells ...string) {
	if len(cells) != t.columns {
		panic(fmt.Sprintf("bench: a row of %d cells in a table of %d columns", len(cells), t.columns))
	}
	if _, err := fmt.Fprintf(t.out, "| %s |\n", strings.Join(cells, " | ")); t.err == nil {
		t.err = err
	}
}

func (t *mdTable) end() error { return t.err }

func micros(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1000) }
