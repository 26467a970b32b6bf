"""`floe check`: what may be wrong with an installation, each check a pure judgement of facts and a thin gathering."""
