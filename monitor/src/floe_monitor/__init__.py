"""Watches data contracts: schedules checks, keeps results, tells people."""
