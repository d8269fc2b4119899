"""The product with one of its guards taken away: applications that a control's settings add to it."""
