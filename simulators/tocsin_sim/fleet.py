"""The demo fleet: the twelve places of the region's announcement of April 2024, one post each, and who is told.

Coordinates are WGS 84, to about 100 m; where the announcement named a commune only, they are those of its centre.
"""

from dataclasses import dataclass

ORG = "region-sud"
ORG_NAME = "Région Sud (démonstration)"
GATEWAY = "gw-1"
POLICY = "bornes"


@dataclass(frozen=True)
class Post:
    """One post: its device id, its site (id, name, address, place, INSEE code of the commune), and where it stands."""

    device: str
    site: str
    site_name: str
    address: str
    latitude: float
    longitude: float
    insee: str
    name: str


POSTS = (
    Post(
        "bau-salon", "salon-emperi", "Lycée de l'Empéri", "Salon-de-Provence", 43.6385, 5.0998, "13103",
        "Portail principal",
    ),
    Post("bau-istres", "istres", "Istres", "Istres", 43.5134, 4.9875, "13047", "Centre"),
    Post("bau-miramas", "miramas", "Miramas", "Miramas", 43.5822, 5.0015, "13063", "Centre"),
    Post(
        "bau-draguignan", "draguignan-blum", "Lycée Léon Blum", "Draguignan", 43.5297, 6.4545, "83050",
        "Arrêt des cars",
    ),
    Post("bau-embrun", "embrun-gare", "Gare d'Embrun", "Embrun", 44.5625, 6.4958, "05046", "Parvis"),
    Post("bau-gap", "gap", "Gap", "Gap", 44.5594, 6.0786, "05061", "Centre"),
    Post("bau-briancon", "briancon", "Briançon", "Briançon", 44.8996, 6.6428, "05023", "Centre"),
    Post("bau-manosque", "manosque-routiere", "Gare routière", "Manosque", 43.8297, 5.7838, "04112", "Quais"),
    Post("bau-menton", "menton-gare", "Gare de Menton", "Menton", 43.7745, 7.4930, "06083", "Quai 1"),
    Post(
        "bau-la-londe", "la-londe", "La Londe-les-Maures", "La Londe-les-Maures", 43.1380, 6.2344, "83071",
        "Centre",
    ),
    Post("bau-cavaillon", "cavaillon", "Cavaillon", "Cavaillon", 43.8368, 5.0380, "84035", "Centre"),
    Post("bau-toulon", "toulon", "Toulon", "Toulon", 43.1242, 5.9280, "83137", "Centre"),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody who is told or who answers: login, name, role, language; where their webhook and their mail go."""

    login: str
    name: str
    role: str
    language: str
    webhook: str = ""  # path at the webhook inbox
    mail: str = ""


PEOPLE = (
    Person("camille", "Camille Roux", "supervisor", "fr", "police-municipale", "camille@exemple.test"),
    Person("alex", "Alex Martin", "supervisor", "en", "", "alex@exemple.test"),
    Person("admin", "Dominique Faure", "administrator", "fr", "astreinte", "dominique@exemple.test"),
)
# How a target is called when a message for it is printed.
TARGETS = {
    "police-municipale": "police municipale",
    "astreinte": "astreinte",
    **{person.mail: person.name for person in PEOPLE},
}
