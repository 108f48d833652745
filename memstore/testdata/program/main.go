// Command program tries to keep sessions in memory.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/holdfast-go/session/memstore"
)

func main() {
	if len(os.Args) > 1 {
		var s memstore.Store
		fmt.Println(s.Len(), s.Delete(context.Background(), [16]byte{}))
		return
	}
	fmt.Println("started with", memstore.New())
}
