// Package redisstore stores sessions in Redis 7 or later, or in Valkey.
package redisstore
