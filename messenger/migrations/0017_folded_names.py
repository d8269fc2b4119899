"""Names of groups and topics as searches compare them."""

from django.db import migrations, models


def folded(model: str, source: str) -> migrations.AddField:
    expression = models.Func(models.F(source), function="folded_name")
    field = models.GeneratedField(db_persist=True, expression=expression, output_field=models.TextField())
    return migrations.AddField(model_name=model, name=f"folded_{source}", field=field)


class Migration(migrations.Migration):
    dependencies = [("messenger", "0016_unread_in_topic"), ("tenancy", "0008_folded_names")]
    operations = [
        folded("messengergroup", "name"),
        folded("messengergroup", "description"),
        folded("topic", "name"),
    ]
