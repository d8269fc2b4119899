from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.validators import validate_email
from django.db import transaction

from accounts.models import User


@transaction.atomic
def create_user(email: str, password: str, **settings: str) -> User:
    """A user whose address is proven: by the invitation that was mailed to it, or by the operator.

    `settings` are columns of User (`time_zone`, `language`). Raises ValidationError for an address or a
    password that won't do.
    """
    email = email.strip().lower()
    validate_email(email)
    user = User(email=email, **settings)
    validate_password(password, user)
    user.set_password(password)
    user.save()
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user
