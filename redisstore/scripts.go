package redisstore

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
)

// script is a Lua script on one key. Redis runs a script as one atomic step, and
// a cluster runs it on the node of its key.
type script struct {
	source string
	sha    string // names the script in EVALSHA
}

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source))
	return &script{source, hex.EncodeToString(sum[:])}
}

var (
	//go:embed lua/insert.lua
	insertSource string
	//go:embed lua/update.lua
	updateSource string
	//go:embed lua/delete.lua
	deleteSource string
	//go:embed lua/confirm.lua
	confirmSource string
	//go:embed lua/index.lua
	indexSource string
	//go:embed lua/probe.lua
	probeSource string

	insertScript  = newScript(insertSource)
	updateScript  = newScript(updateSource)
	deleteScript  = newScript(deleteSource)
	confirmScript = newScript(confirmSource)
	indexScript   = newScript(indexSource)
	probeScript   = newScript(probeSource)
)
