"""Certificates for the webhook: an authority and the serving certificates it signs."""
