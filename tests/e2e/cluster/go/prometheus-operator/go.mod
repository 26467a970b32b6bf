// The kinds of the Prometheus operator: only its CustomResourceDefinitions are taken, nothing is built.
module floe.dev/tests/e2e/cluster/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
