"""`tocsin site`."""

import argparse

from tocsin_backend.commands import OK, Adder, columns, opened, registrar, say
from tocsin_backend.enrolment import SiteDetails
from tocsin_backend.settings import Settings
from tocsin_backend.store import enrolment as enrolment_store


def site_add(args: argparse.Namespace, settings: Settings) -> int:
    details = SiteDetails(
        name=args.name, timezone=args.tz, latitude=args.lat, longitude=args.lon, insee=args.insee, uai=args.uai,
        address=args.address, phone=args.phone, policy=args.policy, reporting_s=args.reporting,
    )  # fmt: skip
    with registrar(settings) as desk:
        desk.add_site(args.org, args.id, details)
    say(args, {"org": args.org, "site": args.id}, [f"site {args.id} added to {args.org}"])
    return OK


def site_list(args: argparse.Namespace, settings: Settings) -> int:
    with opened(settings) as database, database.read() as conn:
        rows = enrolment_store.sites(conn, args.org)
    say(args, rows, columns(rows, ("org", "id", "name", "timezone", "policy"), "no site yet: `tocsin site add`"))
    return OK


def site_set_policy(args: argparse.Namespace, settings: Settings) -> int:
    with registrar(settings) as desk:
        desk.set_site_policy(args.org, args.id, args.policy)
    say(args, {"org": args.org, "site": args.id, "policy": args.policy}, [f"site {args.id} follows {args.policy} now"])
    return OK


def register(add: Adder) -> None:
    site = add.group("site", "Sites: lycées, stations, streets.")
    new = site.leaf("add", site_add, "Add a site.")
    new.add_argument("--org", required=True)
    new.add_argument("--id", required=True, help="a-z, 0-9, -")
    new.add_argument("--name", required=True)
    new.add_argument("--tz", default="Europe/Paris", help="time zone (Europe/Paris)")
    new.add_argument("--lat", type=float, help="latitude in degrees, WGS 84")
    new.add_argument("--lon", type=float, help="longitude in degrees, WGS 84")
    new.add_argument("--insee", default="", help="INSEE code of the commune")
    new.add_argument("--uai", default="", help="UAI number of the school")
    new.add_argument("--address", default="")
    new.add_argument("--phone", default="17", help="what to dial if the screens go dark (17)")
    new.add_argument("--policy", help="the policy of its devices")
    new.add_argument("--reporting", type=int, default=90, metavar="S", help="seconds to show a silent post: 90 or 20")
    set_policy = site.leaf("set-policy", site_set_policy, "Have a site's devices follow a policy.")
    set_policy.add_argument("--org", required=True)
    set_policy.add_argument("--id", required=True)
    set_policy.add_argument("--policy", required=True)
    site.leaf("list", site_list, "List sites.").add_argument("--org")
