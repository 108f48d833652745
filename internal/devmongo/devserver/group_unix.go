//go:build unix

package devserver

import "syscall"

// ownGroup puts a child into a process group of its own. Otherwise a Ctrl-C in the terminal would end mongod at once,
// before the processes that still use it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
