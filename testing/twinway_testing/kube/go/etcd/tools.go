//go:build tools

// Package tools names what is built from the etcd module.
package tools

import _ "go.etcd.io/etcd/server/v3"
