class Refused(Exception):
    """Something that the person at the terminal has to put right; the text is a sentence for them."""
