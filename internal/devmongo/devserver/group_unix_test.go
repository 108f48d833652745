//go:build unix

package devserver_test

import (
	"os"
	"syscall"
)

func leadsProcessGroup() bool { return syscall.Getpgrp() == os.Getpid() }
