class StartupError(Exception):
    """A problem that the person at the terminal has to fix. The text is a sentence for them."""
