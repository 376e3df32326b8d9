"""Who is let in, whose key counts, who has left; and addresses that somebody announces."""

from tests.mutants.mutant import Mutant

_DOORS = "tests/system/test_coordinator_doors.py::test_"
_MEMBERS = "tests/system/test_coordinator_membership.py::test_"
_WORDS = "tests/unit/test_trust_words.py::test_"
_CLAIMS = "tests/system/test_coordinator_enrolment.py::test_"
_SAID = "tests/unit/test_agent_words.py::test_"
_GONE = "tests/unit/test_gone.py::test_"
_DISPATCH = "tests/unit/test_rollout_dispatch.py::test_"
_ROVING = "tests/unit/test_agent_roving.py::test_"
_CERTIFICATES = "tests/unit/test_client_certificates.py::test_"
_ENROLL = "coordinator/transactions/enroll.py"
_ENROLMENTS = "coordinator/transactions/enrolments.py"
_MEMBERSHIP = "coordinator/transactions/membership.py"
_CONTACT = "coordinator/transactions/contact.py"
_WORDS_FILE = "shared/trust/words.py"


def _mutant(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"member-{name}", file, old, new, tests)


MEMBERSHIP = (
    # --- what an agent says of itself
    _mutant(
        "words-are-paid",
        "agent/services/speaker.py",
        "        self.toll.add(got)\n",
        "",
        _SAID + "a_bundle_that_does_not_get_through_is_counted_and_holds_up_no_contact",
    ),
    _mutant(
        "words-are-paid-where-they-hold-up-a-contact",
        "agent/services/membership.py",
        "self._member.before(self._may_bring)\n        await self._pay()\n",
        "self._member.before(self._may_bring)\n",
        _SAID + "a_word_without_an_answer_is_counted_although_it_keeps_the_contact_back",
    ),
    _mutant(
        "last-words-are-paid",
        "agent/services/membership.py",
        "super().run(**options))\n            await self._pay()\n",
        "super().run(**options))\n",
        _SAID + "what_is_said_after_a_contact_is_counted_and_a_disk_that_fails_ends_nothing",
    ),
    _mutant(
        "bundle-within-the-budget",
        "agent/services/membership.py",
        "        return self.purse.allowance().rule.calls\n",
        "        return True\n",
        _SAID + "a_bundle_waits_where_bytes_are_short_from_piece_to_piece",
    ),
    _mutant(
        "bundle-holds-up-nobody",
        "agent/services/membership.py",
        'if failed.fault in _PASSING and name != "support":',
        "if failed.fault in _PASSING:",
        _SAID + "a_bundle_that_does_not_get_through_is_counted_and_holds_up_no_contact",
    ),
    _mutant(
        "bundle-rests-longer",
        "agent/services/membership.py",
        "        self._unheard += 1\n",
        "        self._unheard = 1\n",
        _SAID + "a_bundle_that_does_not_get_through_is_counted_and_holds_up_no_contact",
    ),
    # --- doors
    _mutant(
        "fingerprint-compared",
        _ENROLMENTS,
        'if parse_fingerprint(wish.fingerprint, where="fingerprint") != row[1]:',
        "if False:",
        _DOORS + "only_the_whole_right_fingerprint_accepts_a_key",
    ),
    _mutant(
        "name-taken",
        _ENROLMENTS,
        "    if taken is not None or promised is not None:\n",
        "    if False:\n",
        _DOORS + "a_site_is_needed_and_a_name_is_given_once",
    ),
    _mutant(
        "name-promised",
        _ENROLL,
        "        if taken is None and promised is None:\n",
        "        if taken is None:\n",
        _DOORS + "a_promised_name_is_not_given_to_a_claim",
    ),
    _mutant(
        "rejected",
        _ENROLL,
        'raise RefusedError(Reason.ENROLMENT_REJECTED, "an admin did not let this key in")',
        "return Entered(None, again_s=5)",
        _DOORS + "a_key_that_was_rejected_is_told_so_whenever_it_asks",
    ),
    _mutant(
        "strangers-bounded",
        _ENROLL,
        "every >= limits.ENROLMENTS or ",
        "",
        _DOORS + "the_room_for_strangers_is_bounded_and_claims_do_not_need_it",
    ),
    _mutant(
        "strangers-of-one-address-bounded",
        _ENROLL,
        " or here >= limits.ENROLMENTS_PER_ADDRESS",
        "",
        _DOORS + "the_room_for_strangers_is_bounded_and_claims_do_not_need_it",
    ),
    _mutant(
        "strangers-slowed",
        _ENROLL,
        "    if lately >= limits.ENROLMENTS_PER_MINUTE:\n",
        "    if False:\n",
        _DOORS + "strangers_cannot_ask_faster_than_a_person_could_read",
    ),
    _mutant(
        "claim-over",
        _ENROLL,
        "    if now_ms >= expires_ms:\n",
        "    if False:\n",
        _CLAIMS + "a_claim_that_is_over_lets_nobody_in",
    ),
    _mutant(
        "claim-used-up",
        _ENROLL,
        "    if used >= count:\n",
        "    if False:\n",
        _CLAIMS + "a_claim_lets_in_as_many_keys_as_it_says",
    ),
    _mutant(
        "revoked-stays-out",
        _ENROLL,
        "    if revoked_ms is not None:\n",
        "    if False:\n",
        _CLAIMS + "a_revoked_key_stays_out_and_its_name_is_never_given_again",
    ),
    _mutant(
        "old-key-stays-out",
        _ENROLL,
        "    if not is_current:\n",
        "    if False:\n",
        _MEMBERS + "a_key_that_was_used_before_comes_never_back",
    ),
    # --- keys
    _mutant(
        "both-keys-sign",
        _WORDS_FILE,
        "        threshold = 2\n",
        "        threshold = 1\n",
        _WORDS + "a_key_that_only_one_of_the_two_vouches_for_is_refused",
    ),
    _mutant(
        "word-answered",
        _WORDS_FILE,
        "    if heard.word != document_hash(word):\n",
        "    if False:\n",
        _WORDS + "the_answer_is_the_directors_and_to_exactly_this_word",
    ),
    _mutant(
        "word-audience",
        _WORDS_FILE,
        "    if heard.agent != agent:\n",
        "    if False:\n",
        _WORDS + "the_answer_is_the_directors_and_to_exactly_this_word",
    ),
    _mutant(
        "word-fields",
        _WORDS_FILE,
        "class Rekey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):",
        "class Rekey(msgspec.Struct, frozen=True, array_like=True):",
        _WORDS + "an_unknown_field_in_a_word_is_refused",
    ),
    _mutant(
        "word-fleet",
        "coordinator/services/members.py",
        "        if word.fleet != fleet:\n",
        "        if False:\n",
        _MEMBERS + "nobody_changes_an_agents_key_without_its_key",
    ),
    _mutant(
        "key-used-before",
        _MEMBERSHIP,
        '    if (yield from fetch_one("key_known", new_key)) is not None:\n',
        "    if False:\n",
        _MEMBERS + "a_key_that_was_used_before_comes_never_back",
    ),
    _mutant(
        "retired-key-says-nothing",
        _MEMBERSHIP,
        "    if key not in {identity.public_key, identity.next_key}:\n",
        "    if False:\n",
        _MEMBERS + "a_key_that_was_retired_while_its_word_was_on_the_way_says_nothing",
    ),
    _mutant(
        "retired-key-does-not-leave",
        _MEMBERSHIP,
        "    if key not in {public_key, next_key}:\n",
        "    if False:\n",
        _MEMBERS + "a_key_that_was_retired_while_its_word_was_on_the_way_says_nothing",
    ),
    _mutant(
        "says-it-under-the-old-key-for-ever",
        "agent/services/contact.py",
        "if is_signed_with(before.pending, self._identity):",
        "if True:",
        "tests/simulation/test_uplink.py::test_"
        "what_waited_under_a_key_that_was_changed_is_said_anew_under_the_new_one",
    ),
    _mutant(
        "first-use-retires",
        _CONTACT,
        '    yield from execute("agent_turn_key", agent)\n',
        "",
        _MEMBERS + "the_old_key_works_until_the_first_use_of_the_new_one_and_never_after",
    ),
    _mutant(
        "no-work-meanwhile",
        _CONTACT,
        "self.next_key is None and ",
        "",
        _MEMBERS + "no_work_is_signed_while_two_keys_are_good_and_then_for_the_new_one",
    ),
    _mutant(
        "bundle-names-the-key",
        "shared/trust/admission.py",
        "    _audience,\n    _agent_key,\n",
        "    _audience,\n",
        _MEMBERS + "a_bundle_for_the_key_before_is_refused",
    ),
    # --- labels, leaving
    _mutant(
        "labels-numbered",
        _MEMBERSHIP,
        "    if word.number <= row[0]:\n",
        "    if False:\n",
        _MEMBERS + "a_replay_brings_no_old_labels_back",
    ),
    _mutant(
        "labels-checked",
        _MEMBERSHIP,
        "    check_labels(word.labels)\n",
        "",
        _MEMBERS + "labels_that_no_selector_can_name_change_nothing",
    ),
    _mutant(
        "leave-was-asked",
        _MEMBERSHIP,
        "    if leave_ms is None:\n",
        "    if False:\n",
        _MEMBERS + "an_agent_that_is_decommissioned_delivers_gets_no_work_and_is_gone_for_good",
    ),
    _mutant(
        "left-stays-out",
        _CONTACT,
        "    if left_ms is not None:\n",
        "    if False:\n",
        _MEMBERS + "an_agent_that_is_decommissioned_delivers_gets_no_work_and_is_gone_for_good",
    ),
    _mutant(
        "no-work-for-who-leaves",
        _CONTACT,
        " and Wish.LEAVE not in self.wish",
        "",
        _MEMBERS + "who_is_asked_to_leave_is_not_given_once_more_what_was_signed_before",
    ),
    _mutant(
        "no-work-on-a-stick",
        "coordinator/transactions/carried.py",
        "attested and identity.may_hear:\n"
        "        order = yield from issue(\n"
        "            agent, now_ms=now_ms, again=True, grants=identity.may_work",
        "attested:\n"
        "        order = yield from issue(\n"
        "            agent, now_ms=now_ms, again=True, grants=True",
        _MEMBERS + "a_stick_brings_no_work_either",
    ),
    # --- certificates, candidates
    _mutant(
        "certificate-shown",
        "coordinator/core/client_certificates.py",
        "        if demand is Demand.REQUIRED:\n",
        "        if False:\n",
        _CERTIFICATES + "a_contact_needs_the_agents_own_certificate_that_is_not_over",
    ),
    _mutant(
        "certificate-own",
        "coordinator/core/client_certificates.py",
        "    if shown.name != agent:\n",
        "    if False:\n",
        _CERTIFICATES + "a_contact_needs_the_agents_own_certificate_that_is_not_over",
    ),
    _mutant(
        "certificate-over",
        "coordinator/core/client_certificates.py",
        "    if now_ms >= shown.ends_ms:\n",
        "    if False:\n",
        _CERTIFICATES + "a_contact_needs_the_agents_own_certificate_that_is_not_over",
    ),
    _mutant(
        "candidate-proves-itself",
        "agent/services/http_connection.py",
        "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n",
        "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n",
        _ROVING + "a_liar_is_left_after_one_exchange_and_the_next_one_is_tried",
    ),
    _mutant(
        "candidate-needs-the-fleets-ca",
        "agent/services/discovery.py",
        "    if not endpoint.tls or not ca_pem:\n",
        "    if False:\n",
        "tests/system/test_fleet_discovery.py::test_a_candidate_needs_https_and_the_fleets_own_ca",
    ),
    _mutant(
        "candidate-after-silence",
        "agent/services/roving.py",
        "now_ms - self._lost_ms < SILENT_MS",
        "False",
        _ROVING + "nobody_is_looked_for_before_the_url_was_silent_for_long",
    ),
    # --- work of those who are gone
    _mutant(
        "revoked-has-work-for-ever",
        _MEMBERSHIP,
        "        yield from says_no_more(agent, Reason.REVOKED, now_ms)",
        "        pass",
        _GONE + "no_job_waits_for_an_agent_that_was_revoked",
    ),
    _mutant(
        "left-has-work-for-ever",
        _MEMBERSHIP,
        "        yield from says_no_more(agent, Reason.DECOMMISSIONED, now_ms)",
        "        pass",
        _GONE + "what_an_agent_did_not_tell_before_it_went_nobody_waits_for",
    ),
    _mutant(
        "gone-before-its-turn-in-a-rollout",
        "coordinator/transactions/dispatch.py",
        "yield from went_before(rows, bench.now_ms)",
        "False",
        _DISPATCH + "who_went_before_its_turn_leaves_it_to_the_next_one_of_its_site",
    ),
    _mutant(
        "gone-in-a-rollout-is-looked-at-now",
        "coordinator/transactions/dispatch.py",
        "            done.again |= yield from went_before(",
        "            yield from went_before(",
        _DISPATCH + "whoever_comes_after_one_that_went_is_not_left_until_the_next_look",
    ),
    _mutant(
        "gone-before-it-went-out",
        "coordinator/transactions/executions.py",
        '    yield from went_before((yield from fetch("gone_of_job", job)), now_ms)\n',
        "",
        _GONE + "who_went_before_a_job_goes_out_has_no_work_of_it",
    ),
    _mutant(
        "gone-before-a-restore",
        "coordinator/transactions/gone.py",
        "        elif left_ms is not None:\n"
        "            yield from says_no_more(agent, Reason.DECOMMISSIONED, now_ms)\n",
        "",
        _GONE + "what_a_restore_may_have_forgotten_ends_once_its_agent_has_left",
    ),
    _mutant(
        "revoked-work-stays-for-ever",
        "coordinator/store/queries/cleaning.sql",
        " AND a.revoked_ms IS NULL AND a.left_ms IS NULL",
        "",
        _GONE + "jobs_are_cleaned_whose_agent_can_never_tell_of_them",
    ),
)
