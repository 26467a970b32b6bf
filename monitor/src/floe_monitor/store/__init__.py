"""What the monitor keeps in PostgreSQL: contracts, results, violations, episodes, the outbox, each SLA's state."""
