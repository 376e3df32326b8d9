"""The agent's checks on a reply, on a bundle, and on each job as far as nobody has to approve."""

from tests.mutants.mutant import Mutant, cuts

_BUNDLE = "tests/unit/test_trust_bundle.py::test_"
_REPLIES = "tests/unit/test_trust_reply.py::test_"
_CATALOG = "tests/unit/test_trust_catalog.py::test_"
_ONE_FIELD = "a_bundle_with_one_wrong_field_is_refused"
_NO_SENSE = "a_bundle_that_makes_no_sense_is_refused_whoever_signed_it"
_BEGIN = "an_admitted_job_does_not_begin_once_something_has_taken_its_leave_away"
_ROLLED_BACK = "documents_that_were_put_back_on_the_disk_admit_nothing"
_REPLY = "a_reply_counts_only_for_the_report_it_names_and_the_agent_it_names"


def _line(name: str, *tests: str, where: str = _BUNDLE) -> Mutant:
    """Take one line out of a table of checks."""
    named = tuple(where + test for test in tests)
    return Mutant(f"bundle{name}", "shared/trust/admission.py", f"    {name},\n", "", named)


_admission = cuts("admission", "shared/trust/admission.py", _BUNDLE)
_job = cuts("job", "shared/trust/granting.py", _BUNDLE)
_bounds = cuts("bounds", "shared/trust/bounds.py", _CATALOG)
_document = cuts("bundle", "shared/trust/documents.py", _BUNDLE)

ORDERS = (
    _bounds(
        "services-are-names-too",
        "            return all(is_name(one) or is_service(one) for one in value)\n",
        "            return all(map(is_name, value))\n",
        "a_parameter_keeps_within_its_bound",
    ),
    _document(
        "role",
        "keys, threshold = root.keys_of(DIRECTOR)\n    payload = open_envelope(\n        data,"
        " typ=BUNDLE_TYP",
        "keys, threshold = root.keys_of('enrol')\n    payload = open_envelope(\n        data,"
        " typ=BUNDLE_TYP",
        "only_the_director_orders",
    ),
    _document(
        "unknown-fields",
        "class Bundle(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):",
        "class Bundle(msgspec.Struct, frozen=True, array_like=True):",
        "an_unknown_field_in_a_bundle_or_a_job_is_refused",
    ),
    _document("sense", "    check_bundle(bundle)\n", "", _NO_SENSE),
    _document(
        "dates",
        "if not 0 <= max(bundle.issued_ms, bundle.not_before_ms) <= bundle.expires_ms:",
        "if False:",
        _NO_SENSE,
    ),
    _document(
        "numbers",
        "if min(bundle.seq, bundle.restore_epoch, bundle.stale_s) < 0:",
        "if False:",
        _NO_SENSE,
    ),
    _document(
        "grants", "if len(bundle.grants) > limits.GRANTS_PER_BUNDLE:", "if False:", _NO_SENSE
    ),
    Mutant(
        "trace-size",
        "shared/trust/granting.py",
        "if len(grant.trace) not in {0, limits.TRACE_BYTES}:",
        "if False:",
        (
            "tests/simulation/test_trace_at_the_agent.py::test_a_trace_of_another_size_is_refused_alone",
        ),
    ),
    _line("_fleet", _ONE_FIELD),
    _line("_audience", _ONE_FIELD),
    _line("_agent_key", _ONE_FIELD),
    _line("_store", _ONE_FIELD),
    _line("_epoch", _ONE_FIELD),
    _line("_root_version", _ONE_FIELD),
    _line("_catalog_version", _ONE_FIELD),
    _line("_policy_version", _ONE_FIELD),
    _line("_attested", "an_agent_that_lost_its_counters_admits_nothing"),
    _line("_trust_kept", _ROLLED_BACK),
    _line("_sequence", "a_replayed_bundle_is_refused"),
    _line("_not_before", "a_bundle_is_refused_until_its_time_has_provably_come"),
    _line("_root_over", "nothing_is_admitted_under_an_expired_document"),
    _line("_catalog_over", "nothing_is_admitted_under_an_expired_document"),
    _line("_policy_over", "nothing_is_admitted_under_an_expired_document"),
    _line(
        "_expired",
        "an_expired_bundle_is_refused_by_the_floor_and_by_the_verified_present",
    ),
    _line("_stale", "a_bundle_is_stale_once_the_coordinator_was_silent_too_long"),
    _admission(
        "newer-root-than-asked",
        "if case.bundle.root_version != case.held.trust.root.version:",
        "if case.bundle.root_version > case.held.trust.root.version:",
        _ONE_FIELD,
    ),
    _admission(
        "older-catalog-than-asked",
        "if case.bundle.catalog_version != catalog.version:",
        "if case.bundle.catalog_version < catalog.version:",
        _ONE_FIELD,
    ),
    _admission(
        "older-policy-than-asked",
        "if case.bundle.policy_version != policy.version:",
        "if case.bundle.policy_version < policy.version:",
        _ONE_FIELD,
    ),
    _admission(
        "rolled-back-root",
        "had = (counters.epoch, counters.root_version, ",
        "had = (counters.epoch, 0, ",
        _ROLLED_BACK,
    ),
    _admission(
        "rolled-back-catalog",
        "counters.root_version, counters.catalog_version, ",
        "counters.root_version, 0, ",
        _ROLLED_BACK,
    ),
    _admission(
        "rolled-back-policy",
        "counters.catalog_version, counters.policy_version)",
        "counters.catalog_version, 0)",
        _ROLLED_BACK,
    ),
    _admission(
        "rolled-back-epoch",
        "had = (counters.epoch, ",
        "had = (0, ",
        "a_root_of_an_older_epoch_that_was_put_back_admits_nothing",
    ),
    _admission(
        "restore-epoch",
        "if bundle.restore_epoch < counters.restore_epoch:",
        "if False:",
        "a_restored_coordinator_counts_anew_and_the_one_before_it_counts_no_more",
    ),
    _admission(
        "restored-coordinator",
        "if bundle.restore_epoch == counters.restore_epoch and bundle.seq <=",
        "if bundle.seq <=",
        "a_restored_coordinator_counts_anew_and_the_one_before_it_counts_no_more",
    ),
    _admission(
        "same-number-again",
        "bundle.seq <= counters.bundle_seq",
        "bundle.seq < counters.bundle_seq",
        "a_replayed_bundle_is_refused",
    ),
    _admission(
        "verified-present",
        "return WallMs(max(self.floor_ms, self.now_ms or 0))",
        "return self.floor_ms",
        "an_expired_bundle_is_refused_by_the_floor_and_by_the_verified_present",
    ),
    _admission(
        "floor",
        "return WallMs(max(self.floor_ms, self.now_ms or 0))",
        "return WallMs(self.now_ms or 0)",
        "an_expired_bundle_is_refused_by_the_floor_and_by_the_verified_present",
    ),
    _admission(
        "issued-after-the-roots-end",
        "return WallMs(max(self.held.earliest_ms, self.bundle.issued_ms))",
        "return self.held.earliest_ms",
        "a_bundle_that_was_issued_after_the_roots_end_is_refused",
    ),
    _admission(
        "counters-kept",
        "        bundle_seq=bundle.seq,\n",
        "",
        "a_good_bundle_is_admitted_with_everything_that_must_be_kept",
    ),
    _line("_reply_audience", _REPLY, where=_REPLIES),
    _line("_reply_nonce", _REPLY, where=_REPLIES),
    _line(
        "_reply_restore",
        "the_coordinator_that_a_restored_one_replaced_acknowledges_nothing_any_more",
        where=_REPLIES,
    ),
    Mutant(
        "reply-role",
        "shared/trust/documents.py",
        "keys, threshold = root.keys_of(DIRECTOR)\n    payload = open_envelope(\n        data,"
        " typ=REPLY_TYP",
        "keys, threshold = root.keys_of('release')\n    payload = open_envelope(\n        data,"
        " typ=REPLY_TYP",
        (_REPLIES + "a_reply_that_the_director_did_not_sign_is_refused",),
    ),
    Mutant(
        "enroll-possession",
        "shared/trust/documents.py",
        "    open_envelope(\n        data,\n        typ=ENROLL_TYP,\n",
        "    dict(\n        data=data,\n        typ=ENROLL_TYP,\n",
        (_REPLIES + "an_enrolment_proves_possession_of_the_key_it_names",),
    ),
    _job("spec", "        check_spec(spec)\n", "", "one_bad_job_is_refused_and_the_others_stand"),
    _job(
        "bounds",
        "    check_bounds(spec, scene.catalog)\n",
        "",
        "a_job_outside_the_catalog_is_refused",
    ),
    _job(
        "bounds-everywhere",
        "    for step in spec.every_step:\n        check_step(",
        "    for step in spec.steps:\n        check_step(",
        "what_may_not_be_done_may_not_be_done_at_the_end_either",
    ),
    _job(
        "class-everywhere",
        "    for step in spec.every_step:\n        if not rule.allows",
        "    for step in spec.steps:\n        if not rule.allows",
        "what_may_not_be_done_may_not_be_done_at_the_end_either",
    ),
    _job(
        "class-known",
        "    if rule is None:\n        raise RefusedError(Reason.UNKNOWN_CLASS,"
        " repr(job_class[:40]))\n",
        "    if rule is None:\n        return next(iter(policy.classes.values()))\n",
        "a_job_cannot_hide_in_a_class_that_asks_for_less",
    ),
    _job(
        "class-exceeded",
        "    check_class(spec, rule)\n",
        "",
        "a_job_cannot_hide_in_a_class_that_asks_for_less",
    ),
    _job(
        "grace",
        "    check_in_touch(scene.silent_ms, grace_s)\n",
        "",
        "a_class_bounds_how_long_its_jobs_run_without_word_from_the_coordinator",
    ),
    _admission("begin-in-time", " and held.earliest_ms > not_after_ms:\n", " and False:\n", _BEGIN),
    _admission("begin-in-touch", "    check_in_touch(held.silent_ms, grace_s)\n", "", _BEGIN),
    _admission(
        "begin-in-class",
        "    check_class(spec, rule_of(job_class, _policy(held)))\n",
        "",
        _BEGIN,
    ),
    _admission("begin-in-bounds", "    check_bounds(spec, _catalog(held))\n", "", _BEGIN),
    _bounds(
        "action",
        "        raise RefusedError(Reason.ACTION_NOT_ALLOWED, step.action)\n",
        "        return\n",
        "an_action_or_a_parameter_that_the_catalog_does_not_name_is_refused",
    ),
    _bounds(
        "parameter",
        '            raise RefusedError(Reason.OUT_OF_BOUNDS, f"{where} is not a parameter'
        ' it may have")\n',
        "            continue\n",
        "an_action_or_a_parameter_that_the_catalog_does_not_name_is_refused",
    ),
    _bounds(
        "value",
        "    if not _fits(value, bound):\n",
        "    if False:\n",
        "a_parameter_keeps_within_its_bound",
    ),
    _bounds(
        "some-profile",
        "            _check_some_profile(where, catalog, name, value)\n",
        "            pass\n",
        "a_write_that_no_profile_allows_is_refused_at_admission",
    ),
    _bounds(
        "own-profile",
        "    if not _within(points, point, value):\n",
        "    if False:\n",
        "a_write_is_checked_against_its_devices_own_profile_before_it_happens",
    ),
    _bounds(
        "unlisted-profile",
        "        if catalog.any_profile:\n            return\n        raise",
        "        if True:\n            return\n        raise",
        "a_write_is_checked_against_its_devices_own_profile_before_it_happens",
    ),
    _bounds(
        "listed-profile-still-binds",
        "    if points is None:\n        if catalog.any_profile:\n            return\n",
        "    if points is None or catalog.any_profile:\n        if catalog.any_profile:\n"
        "            return\n",
        "any_profile_frees_the_unlisted_and_still_binds_the_listed",
    ),
    Mutant(
        "class-parameters",
        "shared/trust/policy.py",
        "named is not None and (not named or step.params.keys() <= set(named))",
        "named is not None",
        (_CATALOG + "a_class_allows_its_actions_and_of_them_its_parameters",),
    ),
    Mutant(
        "class-actions",
        "shared/trust/policy.py",
        "named is not None and (not named or",
        "(not named or",
        (_CATALOG + "a_class_allows_its_actions_and_of_them_its_parameters",),
    ),
)
