package main

import (
	"context"
	"encoding/hex"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// binaryID is a record's ID as the database has it.
func binaryID(id string) bson.Binary {
	b, _ := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	return bson.Binary{Subtype: bson.TypeBinaryUUID, Data: b}
}

// dump returns every document of every collection, byte for byte.
func dump(ctx context.Context, client *mongo.Client) (all []byte, err error) {
	dbs, err := client.ListDatabaseNames(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	for _, name := range dbs {
		db := client.Database(name)
		colls, err := db.ListCollectionNames(ctx, bson.D{})
		if err != nil {
			return nil, err
		}
		for _, coll := range colls {
			cur, err := db.Collection(coll).Find(ctx, bson.D{})
			if err != nil {
				return nil, err
			}
			for cur.Next(ctx) {
				all = append(all, cur.Current...)
			}
			if err := cur.Err(); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
