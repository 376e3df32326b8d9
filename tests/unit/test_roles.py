"""Roles of a process, as the command line names them."""

import pytest

from coordinator.core.roles import EVERY_ROLE, Role, check_roles, parse_roles
from shared.errors import MistakeError


def test_a_list_of_roles_is_read():
    assert parse_roles("api, ingest") == {Role.API, Role.INGEST}
    assert parse_roles("scheduler,ingest,api") == EVERY_ROLE
    for text in ("", "api,", "king"):
        with pytest.raises(MistakeError):
            parse_roles(text)


def test_only_processes_of_a_shared_database_leave_roles_to_others():
    check_roles({Role.API}, shared=True)
    check_roles(EVERY_ROLE, shared=False)
    with pytest.raises(MistakeError, match="one process"):
        check_roles({Role.API}, shared=False)
