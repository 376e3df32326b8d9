"""Single attacks, played move by move with the moves of `tests.property.test_trust_machine`.

Random search finds each of them sooner or later; here each is found every time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.sync.body import PartKind
from tests.property.test_trust_machine import Attack


def checked(attack: Attack) -> None:
    """Check everything that must hold after a move."""
    attack.nothing_ran_that_was_not_allowed()
    attack.nothing_ran_twice()
    attack.nothing_went_back()
    attack.the_floor_is_never_ahead_of_the_truth()
    attack.nobody_is_quarantined_by_a_replay()


@pytest.fixture
def attack() -> Attack:
    """A fleet after two good days, whose every document the attacker has seen."""
    made = Attack()
    made.enrol()
    for setpoint in (1_000, 2_000):
        made.good_day(setpoint, {"alice", "bob"})
        checked(made)
    assert made.gateway.effects, "something ran"
    return made


@contextmanager
def nothing_comes_of_it(attack: Attack) -> Iterator[None]:
    """Check that the moves inside change nothing at the devices."""
    before = list(attack.gateway.effects)
    yield
    checked(attack)
    assert attack.gateway.effects == before


def test_no_order_counts_a_second_time(attack: Attack) -> None:
    bundles = [data for kind, data in attack.seen if kind is PartKind.BUNDLE]
    assert len(bundles) >= 2
    for data in bundles:
        with nothing_comes_of_it(attack):
            attack.deliver(PartKind.BUNDLE, data)
    assert attack.gateway.refusals["replayed"] == len(bundles)


def test_a_signature_that_was_made_up_orders_nothing(attack: Attack) -> None:
    with nothing_comes_of_it(attack):
        attack.impersonate(3_000)


@pytest.mark.parametrize("stolen", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_the_key_set_is_not_taken_over(attack: Attack, *, stolen: bool, own: bool) -> None:
    if stolen:
        attack.steal_one_root_key()
    for signatures in (1, 2):
        with nothing_comes_of_it(attack):
            attack.usurp(signatures, 1, own)


def test_a_neighbours_order_does_not_run_here(attack: Attack) -> None:
    with nothing_comes_of_it(attack):
        attack.order_for_another(value=3_000, deliver=True)


@pytest.mark.parametrize("what", ["bounds", "action", "class", "alone"])
def test_a_stolen_director_does_not_leave_the_catalog_or_the_policy(
    attack: Attack, what: str
) -> None:
    attack.steal_director(at_once=False)
    with nothing_comes_of_it(attack):
        attack.give_orders(1, what, 0, 0)
    attack.give_orders(1, "plain", 0, 0)
    checked(attack)
    assert attack.gateway.effects[-1].step.params == {"setpoint": 4_000}, "but within it, he orders"


def test_a_stolen_director_orders_nothing_once_the_next_root_has_come(attack: Attack) -> None:
    attack.steal_director(at_once=False)
    attack.rotate(new_director=True, new_epoch=True)
    attack.honest_sync(2)
    checked(attack)
    with nothing_comes_of_it(attack):
        attack.give_orders(1, "plain", 0, 0)


def test_a_time_that_answers_nothing_is_not_believed(attack: Attack) -> None:
    attack.steal_director(at_once=False)
    attack.answer_falsely(5, late=True, restore=0)
    checked(attack)


def test_no_time_after_the_end_of_the_keys_is_believed(attack: Attack) -> None:
    attack.steal_director(at_once=False)
    attack.answer_falsely(30, late=False, restore=0)
    checked(attack)


def test_an_older_catalog_or_policy_does_not_come_back(attack: Attack) -> None:
    older = [one for one in attack.seen if one[0] in {PartKind.CATALOG, PartKind.POLICY}]
    attack.release_catalog(10)
    attack.release_policy()
    attack.honest_sync(1)
    checked(attack)
    for kind, data in older:
        attack.deliver(kind, data)
        checked(attack)
