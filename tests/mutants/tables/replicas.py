"""Mutants of replicas: whose work it is, who hears of it, who is asked."""

from tests.mutants.mutant import Mutant

_LEASES = "tests/contract/test_leases.py::test_"
_HINTS = "tests/unit/test_hints.py::test_"
_CLAIMS = "tests/contract/test_claims.py::test_"
_WAITS = "tests/system/test_cli_waiting.py::test_"
_GROUPS = "tests/contract/test_store_groups.py::test_"
_EVENTS = "tests/contract/test_event_hints.py::test_"
_POSTGRES = "tests/contract/test_store_postgres.py::test_"

REPLICAS = (
    Mutant(
        "month-dropped-in-use",
        "coordinator/store/partitions.py",
        "            went = await _drop(connection, name, before)\n"
        "        except asyncpg.LockNotAvailableError as error:\n",
        "            went = await _drop(connection, name, before)\n"
        "        except asyncpg.DataError as error:\n",
        (_POSTGRES + "a_dump_of_the_blocks_keeps_their_months_and_nothing_else",),
    ),
    Mutant(
        "month-made-in-use",
        "coordinator/store/partitions.py",
        "                made.append(month.name)\n"
        "        except asyncpg.LockNotAvailableError as error:\n",
        "                made.append(month.name)\n        except asyncpg.DataError as error:\n",
        (_POSTGRES + "a_dump_of_the_blocks_keeps_their_months_and_nothing_else",),
    ),
    Mutant(
        "lease-fence",
        "coordinator/transactions/leases.py",
        "    yield from renew_lease(lease)\n    return (yield from body())",
        "    return (yield from body())",
        (_LEASES + "what_a_process_writes_after_another_took_its_work_is_undone",),
    ),
    Mutant(
        "lease-clock",
        "coordinator/store/queries/leases.sql",
        "WHERE lease.until_ms <= (SELECT now_ms FROM database_clock)",
        "WHERE 1 = 1",
        (_LEASES + "a_lease_is_one_process_s_until_it_lets_go",),
    ),
    Mutant(
        "lease-release",
        "coordinator/services/leases.py",
        "                        await self._store.release()",
        "                        pass",
        (_LEASES + "a_service_that_is_stopped_lets_the_next_one_begin_at_once",),
    ),
    Mutant(
        "lease-taken-unheard",
        "coordinator/services/leases.py",
        "            taken = True  #",
        "            taken = False  #",
        (_LEASES + "a_service_that_is_stopped_while_it_takes_its_lease_lets_go_of_it",),
    ),
    Mutant(
        "hint-everything",
        "coordinator/services/hints.py",
        "            noted.clear()\n            self._everything = True",
        "            noted.clear()",
        (_HINTS + "too_much_to_say_lets_everybody_look",),
    ),
    Mutant(
        "hint-unheard",
        "coordinator/services/hints.py",
        "                    self._everything = True  # nobody knows what of it was heard",
        "                    pass",
        (_HINTS + "a_replica_whose_line_was_broken_looks_and_lets_all_others_look",),
    ),
    Mutant(
        "event-unsaid",
        "coordinator/services/events.py",
        "        self.bell.ring()\n\n    def _look",
        "        self.bell.ring_here()\n\n    def _look",
        (_EVENTS + "a_listener_at_one_replica_hears_at_once_of_an_event_at_another",),
    ),
    Mutant(
        "event-held-back-and-forgotten",
        "coordinator/services/events.py",
        "patience.until_look_s(held, limits.EVENT_LOOK_MS / 1000)",
        "limits.EVENT_LOOK_MS / 1000",
        (_EVENTS + "a_listener_hears_of_an_event_soon_after_nothing_holds_it_back",),
    ),
    Mutant(
        "event-end-held-back-and-forgotten",
        "coordinator/services/events.py",
        "patience.until_look_s(held, limits.TELLER_LOOK_S)",
        "limits.TELLER_LOOK_S",
        (_EVENTS + "the_end_of_a_job_is_told_soon_after_nothing_holds_it_back",),
    ),
    Mutant(
        "group-of-what-is-everybodys",
        "coordinator/store/postgres_groups.py",
        "if all(_is_own(name, values, self.agent) for name, values in asked):",
        "if True:",
        (_GROUPS + "bodies_that_touch_what_is_everybodys_see_each_other",),
    ),
    Mutant(
        "group-of-anothers-rows",
        "coordinator/store/postgres_groups.py",
        "name in OWN and values[OWN[name]] == agent",
        "name in OWN",
        (_GROUPS + "a_body_that_touches_another_agents_row_is_not_run_beside_it",),
    ),
    Mutant(
        "group-keeps-what-a-body-wrote-that-raised",
        "coordinator/store/postgres_groups.py",
        "        if self._wrote:\n            raise SplitError(self.agent)\n",
        "",
        (_GROUPS + "what_a_body_wrote_that_raises_is_undone_and_the_others_are_committed",),
    ),
    Mutant(
        "claim-rollout",
        "coordinator/store/queries/rollouts.sql",
        " FOR NO KEY UPDATE SKIP LOCKED",
        "",
        (_CLAIMS + "a_rollout_that_another_scheduler_moves_is_left_to_it",),
    ),
    Mutant(
        "claim-trigger-spins",
        "coordinator/services/triggers.py",
        "        return bool(dealt)",
        "        return bool(due or waiting or chains)",
        (_CLAIMS + "a_schedule_that_another_scheduler_fires_is_left_to_it",),
    ),
    Mutant(
        "claim-chain",
        "coordinator/store/queries/repeats.sql",
        " FOR NO KEY UPDATE SKIP LOCKED",
        "",
        (_CLAIMS + "a_job_that_another_scheduler_lets_go_is_left_to_it",),
    ),
    Mutant(
        "claim-deadline",
        "coordinator/store/queries/jobs.sql",
        " FOR NO KEY UPDATE SKIP LOCKED",
        "",
        (_CLAIMS + "a_job_that_another_process_settles_is_left_to_it",),
    ),
    Mutant(
        "claim-deadline-spins",
        "coordinator/services/upkeep.py",
        "    return min(left_s, _LOOK_S) if left_s > 0 else limits.TAKEN_LOOK_S",
        "    return min(left_s, _LOOK_S)",
        ("tests/unit/test_job_chains.py::test_a_deadline_that_another_is_at_is_no_busy_loop",),
    ),
    Mutant(
        "wait-ends-with-its-coordinator",
        "coordinator/cli/waiting.py",
        "            if not error.passing:\n                raise",
        "            raise",
        (_WAITS + "a_wait_goes_on_over_a_restart_of_the_coordinator",),
    ),
    Mutant(
        "roles-on-one-file",
        "coordinator/core/roles.py",
        "    if set(roles) != EVERY_ROLE and not shared:",
        "    if False:",
        (
            "tests/unit/test_roles.py::test_only_processes_of_a_shared_database_leave_roles_to_others",
        ),
    ),
)
