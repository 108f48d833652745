package main

import (
	"context"
	"encoding/hex"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// binaryID returns a record's ID in the form stored in the database.
func binaryID(id string) bson.Binary {
	b, _ := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	return bson.Binary{Subtype: bson.TypeBinaryUUID, Data: b}
}

// dump returns the bytes of all documents in all collections.
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
