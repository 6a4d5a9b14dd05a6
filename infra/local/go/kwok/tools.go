//go:build tools

// Package tools pins the node simulator of the local stack.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
