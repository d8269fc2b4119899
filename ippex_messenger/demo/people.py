"""The members of the demo tenancies. They share one password: they are meant for the embedded database only."""

import unicodedata
from dataclasses import dataclass, field

PASSWORD = "payroll-demo-2026"  # noqa: S105


@dataclass(frozen=True)
class Person:
    tenancy: str
    name: str
    time_zone: str
    what: str
    roles: dict[str, bool] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The first name in ASCII: João becomes joao."""
        first_name = unicodedata.normalize("NFKD", self.name.split()[0])
        return first_name.encode("ascii", "ignore").decode().lower()

    @property
    def email(self) -> str:
        return f"{self.key}@{self.tenancy}.example"


TENANCIES = {"northwind": "Northwind Logistics", "aurora": "Aurora Foods"}
MANAGER = {"is_messenger_manager": True}
ADMINISTRATOR = {"is_administrator": True}

PEOPLE = [
    Person("northwind", "Alice Almeida", "Europe/Lisbon", "Messenger manager, in three groups", MANAGER),
    Person("northwind", "Bob Brandt", "Europe/Berlin", "member of two groups"),
    Person("northwind", "Charlie Chen", "Asia/Singapore", "in the tenancy, in no group"),
    Person("northwind", "Dana Dvořák", "Europe/Prague", "tenancy administrator, in no group", ADMINISTRATOR),
    Person("northwind", "Farah Haddad", "Asia/Dubai", "member, payroll provider in Dubai"),
    Person("northwind", "Grace Okafor", "Africa/Lagos", "member, payroll Nigeria"),
    Person("northwind", "Hiro Tanaka", "Asia/Tokyo", "member, payroll Japan"),
    Person("northwind", "Inès Moreau", "Europe/Paris", "Messenger manager, benefits", MANAGER),
    Person("northwind", "João Pereira", "America/Sao_Paulo", "member, payroll Brazil"),
    Person("northwind", "Kate Lindqvist", "Europe/Stockholm", "member, treasury"),
    Person("aurora", "Erin Eklund", "Europe/Helsinki", "administrator and Messenger manager of the other client",
           ADMINISTRATOR | MANAGER),
    Person("aurora", "Luca Bianchi", "Europe/Rome", "member of the other client"),
]  # fmt: skip
