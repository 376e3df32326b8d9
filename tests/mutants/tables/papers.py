"""The life of the documents: what is adopted, what a revocation changes, whom enrolment follows."""

from tests.mutants.mutant import Mutant, cuts

_UNIT = "tests/unit/test_papers.py::test_"
_FOUNDING = "tests/unit/test_papers_founding.py::test_"
_TYPED = "tests/system/test_ceremony.py::test_"
_ENROL = "tests/unit/test_agent_enroll.py::test_"
_FALSE = "tests/unit/test_papers_text.py::test_papers_that_bring_a_false_past_along_hide_nothing"
_FOLLOW = _UNIT + "papers_that_do_not_follow_are_refused_in_a_sentence"


_papers = cuts("papers", "coordinator/core/papers.py")
_drafts = cuts("drafts", "coordinator/core/drafts.py")
_ceremony = cuts("ceremony", "coordinator/services/ceremony.py", _TYPED)

PAPERS = (
    _papers(
        "root-before",
        "return open_root(paper.envelope, trusted=root)",
        "return open_root(paper.envelope, trusted=None)",
        _UNIT + "a_root_that_exchanges_its_own_keys_needs_the_thresholds_of_both",
    ),
    _papers(
        "beginning",
        "if root is None and (document.version, document.epoch) != (1, 1):",
        "if False:",
        _FOUNDING + "what_is_no_beginning_founds_nothing",
    ),
    _papers("newer", "        _check_newer(document, before, where)\n", "", _FOLLOW),
    _papers(
        "number-once",
        "document.epoch == held.epoch and document.version <= held.version",
        "document.epoch == held.epoch and document.version < held.version",
        _FOLLOW,
    ),
    _papers("signed", "        _open_content(paper, root)\n", "", _FOLLOW),
    _papers("fleet", "    if document.fleet != root.fleet:\n", "    if False:\n", _FOLLOW),
    _papers("over", "        if document.expires_ms <= now_ms:\n", "        if False:\n", _FOLLOW),
    _papers(
        "epoch",
        "    if document.epoch != root.epoch:\n",
        "    if False:\n",
        _FOLLOW,
    ),
    _papers("before-signed", "    return key in signed\n", "    return True\n", _FALSE),
    _papers(
        "before-next",
        "if (old.fleet, old.version + 1) != (new.fleet, new.version):",
        "if old.fleet != new.fleet:",
        _FALSE,
    ),
    _papers(
        "before-epoch",
        "if public_key is None or (not isinstance(new, Root) and old.epoch != new.epoch):",
        "if public_key is None:",
        _FALSE,
    ),
    Mutant(
        "papers-names-printable",
        "coordinator/core/document_text.py",
        "letter if letter.isprintable() else",
        'letter if letter != "\\x7f" else',
        ("tests/unit/test_papers_text.py::test_no_name_in_a_draft_ends_a_line_or_hides",),
    ),
    Mutant(
        "papers-sign-shows",
        "coordinator/commands/office.py",
        "known=partial(signed_before, public_key)",
        "known=lambda *_: True",
        (_TYPED + "whoever_signs_believes_nothing_that_papers_say_of_themselves",),
    ),
    _drafts(
        "stolen-alone",
        "new_epoch=any(held.root.roles[name].threshold == 1 for name in roles)",
        "new_epoch=False",
        _UNIT + "a_stolen_director_ends_with_its_epoch",
    ),
    _drafts(
        "every-role",
        "if name != wish.role and not set(role.keys) & set(wish.drop):",
        "if name != wish.role:",
        _UNIT + "an_online_key_that_two_roles_share_goes_from_both",
    ),
    _drafts(
        "bring-along",
        "if not (_counts(catalog, after) and _counts(policy, after)):",
        "if False:",
        _UNIT + "a_new_release_key_brings_catalog_and_policy_along",
    ),
    Mutant(
        "ceremony-asked-for",
        "coordinator/services/ceremony.py",
        "if any(of is paper and key in keys for of, keys in asked):",
        "if True:",
        (_UNIT + "a_key_signs_what_it_is_asked_for_and_nothing_else",),
    ),
    _ceremony(
        "own-director",
        "    if find_signer(directory.director_keys(), keys) is None:\n",
        "    if False:\n",
        "papers_of_another_fleet_are_said",
    ),
    _ceremony(
        "own-request",
        "    if after.root.fleet.hex() != request.fleet:\n",
        "    if False:\n",
        "papers_for_another_request_found_nothing",
    ),
    _ceremony(
        "own-keys",
        "    if named != ([request.director], request.carrier):\n",
        "    if False:\n",
        "papers_for_another_request_found_nothing",
    ),
    _ceremony(
        "pending-keys",
        "        if key_id(FileSigner(path).public_key) in gone:\n",
        "        if key_id(FileSigner(path).public_key) not in set(map(key_id, after.keys)):\n",
        "keys_for_papers_that_are_on_their_way_survive_other_papers",
    ),
    Mutant(
        "enrol-steps",
        "agent/services/enroll.py",
        "for data in (*answer.steps, answer.root):",
        "for data in (answer.root,):",
        (_ENROL + "a_box_follows_every_root_that_was_made_since_its_claim",),
    ),
)
