"""What the machine can do at best: the same servers, and next to nothing in them."""
