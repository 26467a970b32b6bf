"""CloudEvents 1.0 over HTTP as an alert channel."""

from floe_alert_webhook.plugin import WebhookAlertConfig, WebhookAlertPlugin

__all__ = ["WebhookAlertConfig", "WebhookAlertPlugin"]
