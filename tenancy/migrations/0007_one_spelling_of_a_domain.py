"""The domains of invitations, as those of users (accounts, 0005)."""

import sys
from collections import Counter

from django.db import migrations

from common.addresses import stored_address


def use_one_spelling(apps, schema_editor):
    Invitation = apps.get_model("tenancy", "Invitation")
    invitations = list(Invitation.objects.filter(email__regex=r"[^\x01-\x7f]").order_by("pk"))
    spellings = Counter((each.tenancy_id, stored_address(each.email)) for each in invitations)
    for invitation in invitations:
        stored = stored_address(invitation.email)
        others = Invitation.objects.filter(tenancy=invitation.tenancy_id, email__iexact=stored).exclude(pk=invitation.pk)
        if spellings[invitation.tenancy_id, stored] > 1 or others.exists():
            sys.stderr.write(f"\n  A tenancy has invited {stored} twice: {invitation.email} was not changed.\n")
            continue
        invitation.email = stored
        invitation.save(update_fields=["email"])


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0006_labels_in_plain_words"), ("accounts", "0005_one_spelling_of_a_domain")]
    operations = [migrations.RunPython(use_one_spelling, migrations.RunPython.noop)]
