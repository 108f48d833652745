package express

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// member is a property of an object in JSON text.
type member struct {
	name       string
	raw        json.RawMessage // the value
	start, end int             // the bytes of the name and the value in the text
}

// members are the properties of an object, in their order.
type members []member

// parseObject parses an object without changing its values. It returns an error
// that wraps ErrDamaged for other text. The error does not quote the text.
func parseObject(text []byte) (members, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%w: it is not a JSON object", ErrDamaged)
	}
	var all members
	for d.More() {
		from := int(d.InputOffset())
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: its JSON ends or breaks at byte %d", ErrDamaged, d.InputOffset())
		}
		m := member{start: from + bytes.IndexByte(text[from:], '"')}
		m.name, _ = name.(string)
		if err := d.Decode(&m.raw); err != nil {
			return nil, fmt.Errorf("%w: its JSON ends or breaks at byte %d", ErrDamaged, d.InputOffset())
		}
		m.end = int(d.InputOffset())
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil || len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		return nil, fmt.Errorf("%w: its JSON ends or breaks at byte %d", ErrDamaged, d.InputOffset())
	}
	return all, nil
}

// get returns the value of a property. If the text repeats it, the last one
// counts, as in JSON.parse.
func (all members) get(name string) (json.RawMessage, bool) {
	for _, m := range slices.Backward(all) {
		if m.name == name {
			return m.raw, true
		}
	}
	return nil, false
}

// withoutReserved removes the properties that express-session does not load.
func (all members) withoutReserved() members {
	return slices.DeleteFunc(all, func(m member) bool { return m.name != "cookie" && isReserved(m.name) })
}

// reserved lists the names in a session of express-session 1.19 and in
// Object.prototype. Express drops stored properties with such names.
var reserved = []string{
	"id", "req", "cookie", "touch", "resetMaxAge", "save", "reload", "destroy", "regenerate",
	"constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
	"__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__",
}

func isReserved(name string) bool { return slices.Contains(reserved, name) }
