"""The template tags of django_tables2, imported by the first template that uses them.

They take 1 MiB, which processes that serve no tables save. This is why django_tables2 is not an installed app.
"""

from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

register = SimpleLazyObject(lambda: import_string("django_tables2.templatetags.django_tables2.register"))
