// What keeps a pod's namespaces open.
module floe.dev/tests/e2e/cluster/pause

go 1.26.0
