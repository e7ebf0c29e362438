//go:build tools

// Package tools names the commands that `cargo xtask cluster build` builds, so that go.sum covers them.
package tools

import (
	_ "sigs.k8s.io/gateway-api/apis/v1"
)
