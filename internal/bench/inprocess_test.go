package main

import "testing"

// BenchmarkInProcess runs the table inprocess for profiles and benchstat:
//
//	go test -C internal/bench -run - -bench InProcess -count 10
func BenchmarkInProcess(b *testing.B) {
	for _, lib := range []struct {
		name     string
		variants []variant
	}{
		{"this", oursInProcess()},
		{"scs", scsInProcess()},
		{"gorilla", gorillaInProcess()},
	} {
		for _, v := range lib.variants {
			b.Run(lib.name+"/"+v.name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					v.op(i)
				}
			})
		}
	}
}
