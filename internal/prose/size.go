package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
)

const (
	maxFunc = 60  // lines of a function, from its first line to its closing brace
	maxFile = 325 // lines of a file in the root folder
)

// sizes prints the lengths of the functions of public packages, and returns
// the functions and the files of the root package that are too long.
func sizes(files []string) (tooLong []string, err error) {
	var lengths []int
	for _, file := range files {
		if !isPublic(file) {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1
			lengths = append(lengths, n)
			if n > maxFunc {
				tooLong = append(tooLong, fmt.Sprintf("%s: %s has %d lines (limit %d)", set.Position(fn.Pos()), fn.Name.Name, n, maxFunc))
			}
		}
		if n := set.File(f.Pos()).LineCount(); filepath.Dir(file) == "." && n > maxFile {
			tooLong = append(tooLong, fmt.Sprintf("%s has %d lines (limit %d)", file, n, maxFile))
		}
	}
	if len(lengths) == 0 {
		return nil, fmt.Errorf("no function of a public package found")
	}
	slices.Sort(lengths)
	fmt.Printf("functions of public packages: %d; lines: median %d, p95 %d, longest %d\n",
		len(lengths), lengths[len(lengths)/2], lengths[len(lengths)*95/100], lengths[len(lengths)-1])
	return tooLong, nil
}
