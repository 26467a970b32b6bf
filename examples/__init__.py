"""Manifests, pods, contracts and a dbt project to learn from, and the demo that runs them."""
