//go:build !unix

package devserver

import "syscall"

// ownGroup changes nothing on systems without process groups.
func ownGroup() *syscall.SysProcAttr { return nil }
