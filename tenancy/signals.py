"""What apps above this one must act on, in the same transaction, so that it happens with it or not at all."""

from django.dispatch import Signal

# Sent with `tenancy`.
messenger_switched_off = Signal()
# Sent with `member`, just before they are made active or inactive.
member_status_changes = Signal()
