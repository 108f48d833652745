package devserver_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/holdfast-go/session/internal/devmongo/devserver"
)

func TestReadFrame(t *testing.T) {
	whole := op(t, 0, bson.D{{Key: "ping", Value: 1}})
	long := binary.LittleEndian.AppendUint32(nil, devserver.MaxFrame+1)
	negative := binary.LittleEndian.AppendUint32(nil, 1<<31+5)
	pad := make([]byte, 12)
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"whole":                {whole, ""},
		"nothing":              {nil, "EOF"},
		"half a header":        {whole[:9], "EOF"},
		"half a body":          {whole[:len(whole)-1], "unexpected EOF"},
		"shorter than itself":  {append([]byte{15, 0, 0, 0}, pad...), "a message of 15 bytes"},
		"longer than allowed":  {append(long, pad...), "a message of 48000001 bytes: expected 16 to 48000000"},
		"of a negative length": {append(negative, pad...), "a message of -"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := devserver.ReadFrame(bytes.NewReader(c.in))
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, c.in, got)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestReadFrame_Memory(t *testing.T) {
	claim := append(binary.LittleEndian.AppendUint32(nil, devserver.MaxFrame), make([]byte, 12)...)
	n := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := devserver.ReadFrame(bytes.NewReader(claim))
			require.ErrorIs(b, err, io.ErrUnexpectedEOF)
		}
	})
	require.Less(t, n.AllocedBytesPerOp(), int64(1<<16))
}

func TestCommand(t *testing.T) {
	insert, err := bson.Marshal(bson.D{{Key: "insert", Value: "c"}, {Key: "$db", Value: "d"}})
	require.NoError(t, err)
	flags := make([]byte, 4)
	sequence := append([]byte{1}, binary.LittleEndian.AppendUint32(nil, 4+10+uint32(len(insert)))...)
	sequence = append(append(sequence, "documents\x00"...), insert...)
	query := append(append([]byte{0, 0, 0, 0}, "admin.$cmd\x00"...), make([]byte, 8)...)

	for name, c := range map[string]struct {
		in   []byte
		want string
		err  string
	}{
		"a command":                    {in: message(2013, flags, []byte{0}, insert), want: "insert"},
		"its body after its documents": {in: message(2013, flags, sequence, []byte{0}, insert), want: "insert"},
		"a handshake":                  {in: message(2004, query, insert), want: "insert"},
		"compressed":                   {in: message(2012, make([]byte, 20)), err: "leave out the option compressors"},
		"a retired insert":             {in: message(2002, make([]byte, 20)), err: "kind 2002"},
		"no section":                   {in: message(2013, flags), err: "malformed"},
		"no flags":                     {in: message(2013), err: "malformed"},
		"no body":                      {in: message(2013, flags, sequence), err: "malformed"},
		"a sequence of length 0":       {in: message(2013, flags, []byte{1, 0, 0, 0, 0, 0}), err: "malformed"},
		"a sequence past the end":      {in: message(2013, flags, []byte{1, 99, 0, 0, 0, 0}), err: "malformed"},
		"an empty document":            {in: message(2013, flags, []byte{0, 5, 0, 0, 0, 0}), err: "malformed"},
		"a key without end":            {in: message(2013, flags, []byte{0, 9, 0, 0, 0, 2, 'i', 'n'}), err: "malformed"},
		"an empty query":               {in: message(2004), err: "malformed"},
		"a query cut short":            {in: message(2004, query[:len(query)-4]), err: "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := devserver.FrameCommand(c.in)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestOneReply(t *testing.T) {
	ping := bson.D{{Key: "ping", Value: 1}}
	plain := op(t, 0, ping)
	const checksum, more, exhaust = 1, 2, 1 << 16

	require.Equal(t, plain, devserver.FrameOneReply(op(t, 0, ping)))
	require.Equal(t, plain, devserver.FrameOneReply(op(t, more, ping)))
	require.Equal(t, plain, devserver.FrameOneReply(op(t, exhaust, ping)))

	sum := append(op(t, checksum|more, ping), 1, 2, 3, 4)
	binary.LittleEndian.PutUint32(sum, uint32(len(sum)))
	require.Equal(t, plain, devserver.FrameOneReply(sum), "a checksum over other flags would be wrong")

	kept := append(op(t, checksum, ping), 1, 2, 3, 4)
	require.Equal(t, kept, devserver.FrameOneReply(bytes.Clone(kept)))
}

// FuzzFrame checks any bytes of a client. The proxy must neither panic nor read outside the message.
func FuzzFrame(f *testing.F) {
	f.Add(op(f, 0, bson.D{{Key: "find", Value: "c"}}))
	f.Add(op(f, 3, bson.D{{Key: "insert", Value: "c"}}))
	f.Add(message(2004, make([]byte, 14)))
	f.Add(message(2013, []byte{0, 0, 0, 0, 1, 99, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, in []byte) {
		frame, err := devserver.ReadFrame(bytes.NewReader(in))
		if err != nil {
			return
		}
		name, err := devserver.FrameCommand(frame)
		if err == nil {
			require.Contains(t, string(frame), name)
		}
		out := devserver.FrameOneReply(frame)
		require.Zero(t, devserver.FrameFlags(out)&(2|1<<16))
		again, err := devserver.ReadFrame(bytes.NewReader(out))
		require.NoError(t, err)
		require.Equal(t, out, again)
	})
}
