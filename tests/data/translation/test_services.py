from __future__ import annotations

from typing import get_args

from kot_platypus.data.translation.services import SERVICES, Service, find_service


def test_every_service_that_a_recipe_may_name_is_registered_and_a_translator():
    assert set(SERVICES) == set(get_args(Service))
    for name in SERVICES:
        assert {"translate", "usage"} <= set(dir(find_service(name)))
