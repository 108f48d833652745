package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
)

// comments returns the text of a file's comments, without examples of code and
// directives.
func comments(file string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, g := range f.Comments {
		for line := range strings.Lines(g.Text()) {
			if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, " ") {
				line = "\n" // code
			}
			b.WriteString(line)
		}
		b.WriteString("\n\n")
	}
	return b.String(), nil
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	link       = regexp.MustCompile(`\]\([^)]*\)|https?://\S+|<[^>]*>`)
	marker     = regexp.MustCompile(`^\s*([-*+]|\d+\.|#+|>)\s+`)
)

// markdown returns the prose of a file: without code, addresses and tables. A
// list item, a heading and a table's cell end a sentence.
func markdown(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			b.WriteString("\n\n")
			continue
		}
		if fenced || strings.HasPrefix(line, "    ") && !marker.MatchString(line) {
			continue
		}
		line = link.ReplaceAllString(inlineCode.ReplaceAllString(line, "code"), "]")
		if marker.MatchString(line) {
			b.WriteString("\n\n")
			line = marker.ReplaceAllString(line, "")
		}
		if strings.HasPrefix(line, "|") {
			line = strings.ReplaceAll(line, "|", "\n\n")
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// undocumented lists the exported names and fields of public packages without
// a doc comment, and doc comments that do not begin with their name.
func undocumented(files []string) (missing []string, err error) {
	for _, file := range files {
		if !isPublic(file) {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		say := func(n ast.Node, what string) {
			missing = append(missing, set.Position(n.Pos()).String()+": "+what)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				checkDoc(d.Name, d.Doc, d.Name.IsExported() && isExportedReceiver(d.Recv), say)
			case *ast.GenDecl:
				checkSpecs(d, say)
			}
		}
	}
	return missing, nil
}

func isExportedReceiver(recv *ast.FieldList) bool {
	if recv == nil {
		return true
	}
	t := recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	name, ok := t.(*ast.Ident)
	return ok && name.IsExported()
}

// checkDoc reports a missing doc comment, or one that does not begin with the
// name.
func checkDoc(name *ast.Ident, doc *ast.CommentGroup, exported bool, say func(ast.Node, string)) {
	if doc == nil {
		if exported {
			say(name, name.Name+" has no doc comment")
		}
		return
	}
	first, _, _ := strings.Cut(strings.TrimSpace(doc.Text()), " ")
	for _, article := range []string{"A", "An", "The"} {
		if first == article {
			return
		}
	}
	if exported && strings.TrimRight(first, ",:") != name.Name {
		say(name, "the doc comment of "+name.Name+" begins with "+first)
	}
}

func checkSpecs(d *ast.GenDecl, say func(ast.Node, string)) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			checkDoc(spec.Name, doc, spec.Name.IsExported(), say)
			if spec.Name.IsExported() {
				checkFields(spec.Name.Name, spec.Type, say)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
					say(name, name.Name+" has no doc comment")
				}
			}
		}
	}
}

// checkFields reports the exported fields of a struct and the methods of an
// interface that have no comment.
func checkFields(of string, typ ast.Expr, say func(ast.Node, string)) {
	var fields *ast.FieldList
	switch typ := typ.(type) {
	case *ast.StructType:
		fields = typ.Fields
	case *ast.InterfaceType:
		fields = typ.Methods
	default:
		return
	}
	for _, field := range fields.List {
		for _, name := range field.Names {
			if name.IsExported() && field.Doc == nil && field.Comment == nil {
				say(name, of+"."+name.Name+" has no comment")
			}
		}
	}
}
