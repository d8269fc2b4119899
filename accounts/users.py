from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from accounts.models import User
from common.addresses import clean_address


def create_user(email: str, password: str, **settings: str) -> User:
    """Create a user whose address is verified, by an invitation mailed to it or by the operator.

    `settings` are columns of User (`time_zone`, `language`). Raises ValidationError for an invalid address or password.
    """
    email = clean_address(email)
    validate_password(password, User(email=email))
    return add_user(email, make_password(password), **settings)


@transaction.atomic
def add_user(email: str, hashed_password: str, **settings: str) -> User:
    """Create the rows of a user. The caller has validated the address (`clean_address`) and the password."""
    user = User.objects.create(email=email, password=hashed_password, **settings)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user
