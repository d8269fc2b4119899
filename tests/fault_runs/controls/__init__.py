"""Apps that each remove one safeguard from the product; controls.settings installs one of them."""
