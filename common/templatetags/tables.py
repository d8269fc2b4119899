"""The tags of django_tables2, loaded by the first template that uses them: 1 MiB that pages without tables do not need.

Therefore the package is none of the installed apps.
"""

from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

register = SimpleLazyObject(lambda: import_string("django_tables2.templatetags.django_tables2.register"))
