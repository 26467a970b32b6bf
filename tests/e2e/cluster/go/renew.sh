#!/usr/bin/env bash
# Renews go.mod and go.sum of every module here, after a version was changed in its go.mod or builder.yaml.
# A checksum database that lacks a module can be passed over with Go's own GONOSUMDB.
set -euo pipefail
cd "$(dirname "$0")"
for module in kubernetes etcd containerd coredns jaeger helm collector-builder cert-manager; do
  (cd "$module" && go mod tidy)
done
(cd prometheus-operator && go mod download github.com/prometheus-operator/prometheus-operator)

# `go mod tidy` would ask for what only tests of Kubernetes 1.30 need, which was never published.
(cd kubernetes-1.30 && rm -f go.sum && go list -mod=mod -tags providerless -deps k8s.io/kubernetes/cmd/kube-apiserver >/dev/null)

# The builder writes the Collector's go.mod itself; its sources are not kept.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd collector-builder && CGO_ENABLED=0 go build -o "$work/builder" go.opentelemetry.io/collector/cmd/builder)
mkdir "$work/otelcol"
cp otelcol/builder.yaml "$work/otelcol/"
(cd "$work/otelcol" && ../builder --config builder.yaml --skip-compilation)
cp "$work/otelcol/go.mod" "$work/otelcol/go.sum" otelcol/
