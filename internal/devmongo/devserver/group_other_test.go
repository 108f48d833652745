//go:build !unix

package devserver_test

func leadsProcessGroup() bool { return true } // it cannot be asked here
