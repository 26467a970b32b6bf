"""The checks: pure comparisons of what was observed with what is promised (facts in, verdict out)."""
