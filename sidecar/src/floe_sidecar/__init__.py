"""A small durable OpenLineage relay that runs beside a pipeline."""
