"""Signals for the apps that depend on this one. Receivers run in the transaction of the change."""

from django.dispatch import Signal

# Sent with `tenancy`.
messenger_switched_off = Signal()
# Sent with `member`, just before their membership is activated or deactivated.
member_status_changes = Signal()
