package express

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// checkNumbers returns an error if JavaScript would round a number of a JSON text.
// The next request of Express would store the rounded number.
func checkNumbers(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		t, err := d.Token()
		if err != nil {
			return nil // the end, because encoding/json has written the text
		}
		if n, ok := t.(json.Number); ok && !isExact(n) {
			return errNumber
		}
	}
}

// isExact reports whether a float64 holds the number as JavaScript would write it.
func isExact(n json.Number) bool {
	f, err := n.Float64()
	if err != nil {
		return false
	}
	text := strings.ToLower(n.String())
	mantissa, _, hasExponent := strings.Cut(text, "e")
	switch {
	case f == 0:
		return !strings.ContainsAny(mantissa, "123456789")
	case len(text) < 16 && !hasExponent:
		return true // fewer digits than a float64 holds
	}
	got, ok := new(big.Rat).SetString(n.String())
	want, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	return ok && got.Cmp(want) == 0
}

// toBSON returns a JSON value as the Node.js driver would store it. Whole numbers
// are an int32 if they fit, and otherwise numbers are doubles.
func toBSON(text json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := nextBSON(d, 0)
	if err != nil {
		return nil, fmt.Errorf("express: cannot encode the value: %w", err)
	}
	return v, nil
}

// nextBSON reads one value from d.
func nextBSON(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d levels deep", maxDepth)
	}
	switch t := t.(type) {
	case json.Number:
		f, err := t.Float64()
		if err == nil && f == math.Trunc(f) && f >= math.MinInt32 && f <= math.MaxInt32 && !(f == 0 && math.Signbit(f)) {
			return int32(f), nil
		}
		return f, err
	case json.Delim:
		if t == '[' {
			return nextArray(d, depth)
		}
		return nextDocument(d, depth)
	}
	return t, nil // a string, a bool or nil
}

func nextArray(d *json.Decoder, depth int) (any, error) {
	a := bson.A{}
	for d.More() {
		v, err := nextBSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	_, err := d.Token()
	return a, err
}

func nextDocument(d *json.Decoder, depth int) (any, error) {
	doc := bson.D{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := nextBSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		doc = append(doc, bson.E{Key: name.(string), Value: v})
	}
	_, err := d.Token()
	return doc, err
}
