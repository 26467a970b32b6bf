"""From verdicts to people: episodes (pure), routing (pure), the outbox's dispatcher, the console channel."""
