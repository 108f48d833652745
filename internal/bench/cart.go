package main

import (
	"encoding/json"
	"fmt"

	"github.com/holdfast-go/session"
)

const cartName = "cart"

type item struct {
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Quantity int    `json:"quantity"`
	Price    int    `json:"price"`
}

var (
	cart     = session.Key[[]item](cartName)
	items    = tenItems()
	cartJSON = mustJSON(items)
)

// tenItems is a cart of 721 bytes of JSON.
func tenItems() []item {
	list := make([]item, 10)
	for i := range list {
		list[i] = item{fmt.Sprintf("SKU-%05d", 10*i+17), fmt.Sprintf("Article number %d", i+1), i%3 + 1, 999 + 100*i}
	}
	return list
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
