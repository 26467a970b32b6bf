"""Probes: they ask catalogs and computes for the facts that checks compare. All I/O with sources is here."""
