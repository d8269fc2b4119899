"""The functions that compare names (common/folding.py), and the names of members as searches compare them."""

from django.db import migrations, models

from common.folding import FOLDED_NAME_SQL, NAME_SKELETON_SQL


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0007_one_spelling_of_a_domain")]
    operations = [
        migrations.RunSQL(FOLDED_NAME_SQL, "DROP FUNCTION folded_name(text)"),
        migrations.RunSQL(NAME_SKELETON_SQL, "DROP FUNCTION name_skeleton(text)"),
        migrations.AddField(
            model_name="member",
            name="folded_name",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Func(models.F("name"), function="folded_name"),
                output_field=models.TextField(),
            ),
        ),
    ]
