"""What search reads: the words of each message beside it, without accents, and the indexes that find them.

The column `search` is PostgreSQL's own business: the models do not know it, so that nothing loads it.
"""

from django.contrib.postgres.operations import BtreeGinExtension, UnaccentExtension
from django.db import migrations, models

# `unaccent()` in a generated column is refused (it is not immutable), a configuration of ours is not.
CONFIGURATION = """
CREATE TEXT SEARCH CONFIGURATION messenger_text (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION messenger_text
    ALTER MAPPING FOR hword, hword_part, word, numhword, hword_numpart, numword WITH unaccent, simple;
"""
# What joins words, or is taken for markup, ends a word: the parser would take "wages/salaries" for a file,
# "done.Next" for a host and the end of "INV-4711" for a negative number. messenger/search/query.py does the same.
COLUMN = r"""
ALTER TABLE messenger_message ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    to_tsvector('messenger_text'::regconfig, translate(body, '-/.@_:\<>&', '          '))
) STORED;
"""
# Without the pending list: it would make each search read what was posted lately one by one, and now and then
# one post wait for all of it to be sorted in. With tenancy, topic and author in the index a word that is
# frequent everywhere costs no more than the few messages among which it is looked for.
INDEX = """
CREATE INDEX message_search ON messenger_message
    USING gin (tenancy_id, topic_id, author_id, search) WITH (fastupdate = off);
"""


class Migration(migrations.Migration):
    dependencies = [("messenger", "0006_references_of_edits_within_a_tenancy")]
    operations = [
        UnaccentExtension(),
        BtreeGinExtension(),
        migrations.RunSQL(CONFIGURATION, "DROP TEXT SEARCH CONFIGURATION messenger_text"),
        migrations.RunSQL(COLUMN, "ALTER TABLE messenger_message DROP COLUMN search"),
        migrations.RunSQL(INDEX, "DROP INDEX message_search"),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["tenancy", "-posted_at", "-id"], name="message_newest_of_tenancy"),
        ),
    ]
