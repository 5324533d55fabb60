//go:build tools

// Package tools names what is built from the Kubernetes module.
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
