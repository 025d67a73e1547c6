"""Ids that follow from what they name are those of the standard, whoever mints them."""

from uuid import UUID, uuid4, uuid5

from tocsin_backend.domain import identity


def test_it_is_uuid_version_5():
    for name in ("", "demo/bau-1/812-7", "é" * 100, "1/0/0/notify/person:1/3"):
        for namespace in (uuid4(), UUID(int=0), UUID(int=2**128 - 1)):
            assert identity.uuid5(namespace.bytes, name) == str(uuid5(namespace, name))
