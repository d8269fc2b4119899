"""An invitation's inviter belongs to the same tenancy. A composite foreign key, which PostgreSQL has but not Django."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE tenancy_invitation ADD CONSTRAINT invitation_inviter_same_tenancy "
            "FOREIGN KEY (invited_by_id, tenancy_id) REFERENCES tenancy_member (id, tenancy_id) "
            "DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE tenancy_invitation DROP CONSTRAINT invitation_inviter_same_tenancy",
        )
    ]
