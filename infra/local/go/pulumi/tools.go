//go:build tools

// Package tools pins the Pulumi engine that infrastructure as code runs on.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
