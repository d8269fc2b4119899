"""The word index covers topic, author and approximate time: the newest hits are found without fetching all of them."""

from django.db import migrations

# The numbers by which a message is found: of its tenancy, its topic, its author, and of the time buckets of its tenancy
# that contain it, from two hours to a year. messenger/search/time_buckets.py computes the same numbers.
PLACES = """
CREATE FUNCTION messenger_places(tenancy bigint, topic bigint, author bigint, at timestamptz) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[
        tenancy << 4,
        (topic << 4) | 1,
        (author << 4) | 2,
        (((tenancy << 24) | (floor(extract(epoch FROM at))::bigint >> 13)) << 4) | 3,
        (((tenancy << 24) | (floor(extract(epoch FROM at))::bigint >> 16)) << 4) | 4,
        (((tenancy << 24) | (floor(extract(epoch FROM at))::bigint >> 19)) << 4) | 5,
        (((tenancy << 24) | (floor(extract(epoch FROM at))::bigint >> 22)) << 4) | 6,
        (((tenancy << 24) | (floor(extract(epoch FROM at))::bigint >> 25)) << 4) | 7
    ];
"""
# No pending list, as in 0007. ANALYZE collects the statistics with which the use of the new index is planned.
INDEX = """
DROP INDEX message_search;
CREATE INDEX message_search ON messenger_message
    USING gin (messenger_places(tenancy_id, topic_id, author_id, posted_at), search) WITH (fastupdate = off);
ANALYZE messenger_message;
"""
INDEX_BEFORE = """
DROP INDEX message_search;
CREATE INDEX message_search ON messenger_message
    USING gin (tenancy_id, topic_id, author_id, search) WITH (fastupdate = off);
"""


class Migration(migrations.Migration):
    dependencies = [("messenger", "0009_indexes_that_serve_an_order")]
    operations = [
        migrations.RunSQL(PLACES, "DROP FUNCTION messenger_places"),
        migrations.RunSQL(INDEX, INDEX_BEFORE),
    ]
