//go:build tools

// Package tools names the commands that `cargo xtask cluster build` builds, so that go.sum covers them.
package tools

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
