from tenancy.http import MemberHttpRequest


class MessengerHttpRequest(MemberHttpRequest):
    """A request for one of Messenger's own pages."""

    # Set where the view has looked it up already, which saves the main menu its query.
    sees_messenger: bool
