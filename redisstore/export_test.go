package redisstore

// DecodeRecord decodes the fields of a record.
var DecodeRecord = decodeRecord

// EncodeInsert returns the arguments of insert.lua.
var EncodeInsert = encodeInsert
