package faultmongo

import (
	"encoding/binary"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

const setName = "fault"

// limits are the limits in the hello of the real server, which the set repeats.
type limits struct {
	MinWire  int32 `bson:"minWireVersion"`
	MaxWire  int32 `bson:"maxWireVersion"`
	MaxBSON  int32 `bson:"maxBsonObjectSize"`
	MaxMsg   int32 `bson:"maxMessageSizeBytes"`
	MaxBatch int32 `bson:"maxWriteBatchSize"`
}

// hello returns the reply of one member, as in a replica set. It leaves out
// topologyVersion, so the driver polls. The driver then finds a new primary
// later than with a real set, and does not ignore any error as outdated.
func (p *Proxy) hello(v *View, member int) bsoncore.Document {
	p.mu.Lock()
	defer p.mu.Unlock()
	primary := p.primary == member
	hosts := bsoncore.NewArrayBuilder()
	for _, port := range v.ports {
		hosts.AppendString(port.addr)
	}
	b := bsoncore.NewDocumentBuilder().
		AppendBoolean("helloOk", true).
		AppendBoolean("isWritablePrimary", primary).
		AppendBoolean("ismaster", primary).
		AppendBoolean("secondary", !primary).
		AppendArray("hosts", hosts.Build()).
		AppendString("setName", setName).
		AppendInt32("setVersion", 1).
		AppendString("me", v.ports[member].addr)
	if p.primary >= 0 {
		b.AppendString("primary", v.ports[p.primary].addr)
	}
	if primary {
		b.AppendObjectID("electionId", electionID(p.term))
	}
	return b.
		AppendDocument("lastWrite", bsoncore.NewDocumentBuilder().
			AppendDocument("opTime", bsoncore.NewDocumentBuilder().
				AppendTimestamp("ts", uint32(p.term), 1).AppendInt64("t", p.term).Build()).
			AppendDateTime("lastWriteDate", time.Now().UnixMilli()).Build()).
		AppendInt32("logicalSessionTimeoutMinutes", 30).
		AppendInt32("minWireVersion", p.limits.MinWire).
		AppendInt32("maxWireVersion", p.limits.MaxWire).
		AppendInt32("maxBsonObjectSize", p.limits.MaxBSON).
		AppendInt32("maxMessageSizeBytes", p.limits.MaxMsg).
		AppendInt32("maxWriteBatchSize", p.limits.MaxBatch).
		AppendDateTime("localTime", time.Now().UnixMilli()).
		AppendBoolean("readOnly", false).
		AppendDouble("ok", 1).
		Build()
}

// electionID rises with the term. By it the driver prefers a new primary to an
// old one. The version of the set stays the same, because it is the number of
// the configuration, which an election does not change.
func electionID(term int64) (id bson.ObjectID) {
	id[0] = 0x7f
	binary.BigEndian.PutUint64(id[4:], uint64(term))
	return id
}

func isHello(name string) bool { return name == "hello" || name == "isMaster" || name == "ismaster" }

// askLimits reads the limits of the real server once.
func askLimits(p *Proxy) (l limits, err error) {
	conn, err := p.dial()
	if err != nil {
		return l, err
	}
	defer conn.Close()
	body := bsoncore.NewDocumentBuilder().AppendInt32("hello", 1).AppendString("$db", "admin").Build()
	answer, err := roundTrip(conn, &request{id: 1, body: body})
	if err != nil {
		return l, err
	}
	return l, bson.Unmarshal(answer, &l)
}
