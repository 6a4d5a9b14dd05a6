//go:build tools

// Package tools pins the helm that the charts' tests render with.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
