// Package redisstore stores sessions in Redis 7 or later, or in Valkey. Each session
// is one hash, changed by Lua scripts. It supports a single server, Sentinel and
// Cluster. Redis removes expired sessions itself.
//
// # Durability
//
// Redis has weaker guarantees than MongoDB with a majority:
//
//   - Without an append-only file, a restart of the server loses sessions, and it
//     may restore ended ones from an older snapshot. With appendfsync everysec, the
//     default of an append-only file, a power failure loses about one second. With
//     appendfsync always it loses nothing.
//   - Replication is asynchronous. A failover may lose the last acknowledged writes.
//     A new session is then missing, a change is undone, or a session that has ended
//     is there again. [WithReplicas] prevents this.
//   - The index of a user is another key than the sessions. If a failover loses an
//     entry of the index, RevokeAll does not find that session. [WithReplicas]
//     prevents this too.
//   - In a partition of the network, an old primary still serves the apps on its
//     side. They may read sessions that have ended on the other side, in a cluster
//     for the node timeout, and with Sentinel until the partition ends.
//   - If the server evicts keys, it may remove sessions, revocation markers and
//     indexes. Set maxmemory-policy to noeviction. The server then refuses writes
//     when its memory is full, and the store returns errors.
//
// docs/explanation/reliability.md has measurements.
package redisstore
