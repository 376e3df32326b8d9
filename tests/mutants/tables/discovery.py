"""What a device has to stand before it is attached from afar, and what a look must not do."""

from tests.mutants.mutant import cuts

_ADOPT = "tests/contract/test_adopter.py::test_"
_LOOK = "tests/contract/test_lookout.py::test_"

_bounds = cuts(
    "adoption",
    "shared/trust/bounds.py",
    usual=_ADOPT + "a_profile_from_afar_is_one_that_the_catalog_allows",
)
_adopter = cuts("adopter", "agent/services/adopter.py", _ADOPT)
_beside = cuts("adopted", "agent/config_adopted.py", _ADOPT)
_FOLLOW = "tests/unit/test_following.py::test_"
_following = cuts("following", "agent/core/following.py", _FOLLOW)
_at_site = cuts("site", "agent/services/adopter.py", "tests/contract/test_adopter.py::test_")
_left_alone = cuts("aside", "agent/config_adopted.py", "tests/unit/test_device_list.py::test_")
_may_follow = cuts("look", "agent/services/lookout.py", "tests/contract/test_follower.py::test_")
_follower = cuts("follower", "agent/services/follower.py", "tests/contract/test_follower.py::test_")
_look = cuts("look", "agent/services/lookout.py", _LOOK)

_found = cuts(
    "candidate",
    "coordinator/transactions/candidates.py",
    "tests/unit/test_coordinator_candidates.py::test_",
)

DISCOVERY = (
    _found(
        "by-a-wrong-clock",
        "max(counted_ms(seen_ms, now_ms), counted_ms(lost_ms or 0, now_ms))",
        "max(seen_ms, lost_ms or 0)",
        "a_clock_that_is_years_ahead_is_newer_than_nothing",
    ),
    _found(
        "late-word",
        "max(counted_ms(seen_ms, now_ms), counted_ms(lost_ms or 0, now_ms))",
        "0",
        "the_newest_word_counts_whatever_comes_late",
        "a_clock_that_may_be_right_is_believed_in_any_order",
    ),
    _bounds(
        "unlisted", "    if not catalog.any_profile:\n        raise", "    if False:\n        raise"
    ),
    _bounds("own-key", "    if names_a_key:", "    if False:"),
    _adopter(
        "unasked",
        "        if problem := self.may_adopt(profile):",
        "        if False and (problem := self.may_adopt(profile)):",
        "the_catalog_is_asked_before_the_device_is",
    ),
    _adopter(
        "absent",
        "    if not any(one.value is not None for one in readings):",
        "    if False:",
        "nobody_there_is_told_and_nothing_changes",
    ),
    _beside(
        "place",
        "        if (other.bus, other.address) == (one.bus, one.address):",
        "        if False:",
        "a_local_device_puts_one_from_afar_aside",
    ),
    _look(
        "misses-who-was-not-listened-for",
        " if one.name.lower().endswith(kinds)]",
        "]",
        "who_announces_other_services_than_a_look_listens_for_is_not_missed",
    ),
    _look(
        "forbidden",
        "        if not self._settings.allowed:",
        "        if False:",
        "the_local_file_can_forbid_it_and_a_dry_run_asks_nobody",
    ),
    _look(
        "budget",
        "        if count >= self._settings.probes_per_hour:",
        "        if False:",
        "the_hours_budget_ends_a_look_and_the_next_one_goes_on_there",
    ),
    _look(
        "pace",
        "            await self._pause(took_ms * limits.PROBE_SHARE / 1000)",
        "            pass",
        "living_devices_get_many_times_what_a_probe_takes",
    ),
    _may_follow(
        "follow-forbidden",
        "        if self.follower is None or not self._settings.follow:",
        "        if self.follower is None:",
        "the_local_file_can_forbid_to_follow",
    ),
    _may_follow(
        "follows-unasked",
        "        if judged.moves and asked:",
        "        if judged.moves:",
        "a_look_that_is_not_asked_to_follow_tells_who_it_is_and_moves_nothing",
    ),
    _at_site(
        "adopts-what-is-left-alone",
        "            if wish.device in self.aside:",
        "            if False:",
        "what_the_site_leaves_alone_is_not_adopted",
    ),
    _left_alone(
        "polled",
        "        if name in aside:\n            continue",
        "        if False:\n            continue",
        "what_the_local_file_leaves_alone_is_not_attached_and_is_listed",
    ),
    _following(
        "two-places",
        "    if len(claim.by) > 1:",
        "    if False:",
        "two_places_and_two_devices_of_one_serial_number_are_in_doubt",
    ),
    _following(
        "at-home",
        "    return reasons[at_home]",
        '    return ""',
        "it_is_followed_only_if_its_old_place_says_nothing_against_it",
    ),
    _following(
        "unlike",
        "    return rules == NO_RULE or rules.fit(told, Expected()) > 0",
        "    return True",
        "a_serial_number_and_what_does_not_change_of_a_rule_tell_who_it_is",
    ),
    _follower(
        "old-place",
        "                if said is not None:",
        "                if False:",
        "two_that_say_they_are_it_are_told_and_nothing_changes",
    ),
    _follower(
        "arrived",
        "        return not await self.follow(moves)",
        "        return True",
        "what_gives_no_readings_there_is_put_back_once_and_told",
    ),
)
