"""Who may let guarded work in (I11, I12): never its author alone, never the coordinator's keys.

Any approvals at all, by anybody, in any combination, naming any author; against a count of people
that is made without the code under test. See `test_invariants` for the other promises.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from shared.model.job import JobSpec, Step
from shared.trust.admission import Admitted, admit_bundle
from tests.unit.trust_world import PEOPLE, World, make_approval, make_grant

WORLD = World()
JOB = JobSpec(name="start", steps=[Step("go", "device.write", {"start": 1})])
THRESHOLD = 2
OURS = ("director", "release")
"""Keys that a coordinator holds, or who releases documents; none is a person's."""
NAMES = st.sampled_from([*PEOPLE, *OURS, "mallory"])
APPROVALS = st.lists(
    st.tuples(
        st.lists(NAMES, min_size=1, max_size=4, unique=True),
        st.sampled_from([*PEOPLE, "dave", "DAVE", *[name.upper() for name in PEOPLE]]),
    ),
    max_size=4,
)


def admit(approvals: Sequence[tuple[Sequence[str], str]], by: str = "director") -> Admitted:
    sealed = [make_approval(JOB, *names, author=author) for names, author in approvals]
    bundle = WORLD.bundle(make_grant(JOB, "guarded", approvals=sealed))
    return admit_bundle(WORLD.seal_bundle(bundle, by), WORLD.held())


@given(APPROVALS)
def test_whoever_is_named_as_author_never_counts(approvals):
    """HawkBit: what somebody starts who may approve needs no approval by anybody else."""
    admitted = admit(approvals)
    # One that a stranger signed is worth nothing, so whom it names means nothing either.
    good = [(names, author) for names, author in approvals if set(names) <= set(PEOPLE)]
    authors = {author.casefold() for _, author in good}
    signed = {name for names, _ in approvals for name in names}
    assert len(admitted.jobs) + len(admitted.refused) == 1
    if admitted.jobs:
        assert len({name for name in signed if name in PEOPLE} - authors) >= THRESHOLD
    if len(good) == len(approvals):
        assert bool(admitted.jobs) == (len(signed - authors) >= THRESHOLD)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([*OURS, "mallory"]), min_size=1, max_size=3, unique=True),
            st.sampled_from(["dave", *PEOPLE]),
        ),
        max_size=4,
    ),
    st.sampled_from(PEOPLE),
    st.booleans(),
)
def test_the_coordinators_keys_admit_nothing_that_is_guarded(forged, one, has_one):
    """Mender, Salt, AWS Jobs: whoever has the server has every device."""
    approvals = [*forged, *([((one,), "dave")] if has_one else [])]
    admitted = admit(approvals)
    assert not admitted.jobs
    assert len(admitted.refused) == 1
