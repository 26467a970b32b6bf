"""OpenLineage for the services: the client of a plugin's transport."""
