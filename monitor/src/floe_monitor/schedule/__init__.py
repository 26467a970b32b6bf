"""When checks run: `plan` computes deadlines (pure), `loop` waits for the earliest and starts what is due."""
