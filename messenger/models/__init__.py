"""The models of Messenger.

Every model that belongs to a tenancy has a foreign key to it, and composite foreign keys (migration 0002) keep all
other references within that tenancy. `db_constraint=False` marks the plain keys that these replace.
"""

from messenger.models.deliveries import CatchUp, CatchUpTopic, Delivery
from messenger.models.groups import GroupMembership, MessengerGroup
from messenger.models.mentions import Mention
from messenger.models.messages import BODY_MAX_LENGTH, Message, MessageVersion
from messenger.models.preferences import MailPreference, TopicMute
from messenger.models.reading import ReadPosition
from messenger.models.topics import DEFAULT_INTERVAL_MINUTES, MINUTES_A_WEEK, Topic

__all__ = [
    "BODY_MAX_LENGTH",
    "DEFAULT_INTERVAL_MINUTES",
    "MINUTES_A_WEEK",
    "CatchUp",
    "CatchUpTopic",
    "Delivery",
    "GroupMembership",
    "MailPreference",
    "Mention",
    "Message",
    "MessageVersion",
    "MessengerGroup",
    "ReadPosition",
    "Topic",
    "TopicMute",
]
