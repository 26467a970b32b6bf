"""The running monitor: joins contracts, probes, checks, schedule, store and alerts, and tells of itself."""
