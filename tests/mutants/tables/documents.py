"""Key set, catalog and policy: what a document must be, whoever signed it."""

from tests.mutants.mutant import cuts

_ROOT = "tests/unit/test_trust_root.py::test_"
_CATALOG = "tests/unit/test_trust_catalog.py::test_"
_SENSE = "a_set_of_keys_that_makes_no_sense_is_refused_whoever_signed_it"
_CATALOG_SENSE = "a_catalog_that_makes_no_sense_is_refused_whoever_signed_it"
_POLICY_SENSE = "a_policy_that_makes_no_sense_is_refused_whoever_signed_it"


_root = cuts("root", "shared/trust/root.py", _ROOT)
_catalog = cuts("catalog", "shared/trust/catalog.py", _CATALOG, usual=_CATALOG_SENSE)
_released = cuts("released", "shared/trust/released.py", _CATALOG)
_policy = cuts("policy", "shared/trust/policy.py", _CATALOG, usual=_POLICY_SENSE)

_ONLY_RELEASE = "only_the_release_role_signs_what_may_run"
_UNKNOWN = "an_unknown_field_in_a_catalog_or_a_policy_is_refused"
_STRICT = "(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):\n"
_LAX = "(msgspec.Struct, frozen=True, array_like=True):\n"

DOCUMENTS = (
    _root(
        "signed-by-the-one-before",
        "    if trusted is not None:\n        _signed_by(data, trusted)\n",
        "",
        "officers_are_replaced_only_with_the_consent_of_both_sets",
    ),
    _root(
        "signed-by-itself",
        "    _signed_by(data, claimed)\n",
        "",
        "a_root_that_cannot_sign_its_successor_is_refused",
    ),
    _root(
        "sense",
        "    check_root(claimed)\n",
        "",
        "the_check_of_a_set_of_keys_is_part_of_opening_it",
    ),
    _root(
        "fleet",
        "if claimed.fleet != trusted.fleet:",
        "if False:",
        "a_root_that_does_not_continue_the_trusted_one_is_refused",
    ),
    _root(
        "version",
        "if claimed.version != trusted.version + 1:",
        "if claimed.version <= trusted.version:",
        "a_root_that_does_not_continue_the_trusted_one_is_refused",
    ),
    _root(
        "version-back",
        "if claimed.version != trusted.version + 1:",
        "if claimed.version > trusted.version + 1:",
        "a_root_that_does_not_continue_the_trusted_one_is_refused",
    ),
    _root(
        "epoch-back",
        "if not trusted.epoch <= claimed.epoch <= trusted.epoch + 1:",
        "if not claimed.epoch <= trusted.epoch + 1:",
        "the_epoch_goes_one_step_up_and_never_back",
    ),
    _root(
        "epoch-jump",
        "if not trusted.epoch <= claimed.epoch <= trusted.epoch + 1:",
        "if not trusted.epoch <= claimed.epoch:",
        "a_root_that_does_not_continue_the_trusted_one_is_refused",
    ),
    _root("roles-apart", "    if offline & online:\n", "    if False:\n", _SENSE),
    _root("roles-complete", "if root.roles.keys() != OFFLINE | ONLINE:", "if False:", _SENSE),
    _root(
        "threshold-reachable",
        "if not 1 <= role.threshold <= len(distinct):",
        "if False:",
        _SENSE,
    ),
    _root(
        "role-keys",
        "if len(distinct) != len(role.keys) or not distinct <= ids:",
        "if False:",
        _SENSE,
    ),
    _root(
        "keys-distinct",
        "if not len(ids) == len(root.keys) <= limits.KEYS_IN_ROOT:",
        "if False:",
        _SENSE,
    ),
    _root("key-size", "if any(len(public) != KEY_BYTES for public in root.keys):", "if 0:", _SENSE),
    _root("dates", "if not 0 <= root.issued_ms <= root.expires_ms:", "if False:", _SENSE),
    _root(
        "numbers",
        "if root.version < 1 or root.epoch < 1 or len(root.fleet) != FLEET_BYTES:",
        "if False:",
        _SENSE,
    ),
    _root(
        "unknown-fields",
        "class Root" + _STRICT,
        "class Root" + _LAX,
        "an_unknown_field_in_a_root_is_refused",
    ),
    _root(
        "expiry",
        "if moment_ms > root.expires_ms:",
        "if False:",
        "a_root_is_over_the_moment_after_its_end",
    ),
    _root(
        "opaque-until-verified",
        "    if trusted is not None:\n        _signed_by(data, trusted)\n    payload ="
        " peek_payload(data, bound=limits.DOCUMENT_BYTES)\n    claimed = unpack(payload, Root,"
        " bound=limits.DOCUMENT_BYTES)\n",
        "    payload ="
        " peek_payload(data, bound=limits.DOCUMENT_BYTES)\n    claimed = unpack(payload, Root,"
        " bound=limits.DOCUMENT_BYTES)\n"
        "    if trusted is not None:\n        _signed_by(data, trusted)\n",
        "an_unsigned_payload_is_not_looked_at_while_a_root_is_trusted",
    ),
    _catalog("sense", "CATALOG_TYP, check_catalog)", "CATALOG_TYP, id)"),
    _catalog("unknown-fields", "class Catalog" + _STRICT, "class Catalog" + _LAX, _UNKNOWN),
    _released(
        "numbers",
        "if document.version < 1 or document.epoch < 1 or len(document.fleet) != FLEET_BYTES:",
        "if False:",
        _CATALOG_SENSE,
        _POLICY_SENSE,
    ),
    _released(
        "dates",
        "if not 0 <= document.issued_ms <= document.expires_ms:",
        "if False:",
        _CATALOG_SENSE,
        _POLICY_SENSE,
    ),
    _released("role", "root.keys_of(RELEASE)", "root.keys_of('director')", _ONLY_RELEASE),
    _catalog("head", "    check_head(catalog)\n", ""),
    _policy("head", "    check_head(policy)\n", ""),
    _catalog("actions", "if len(catalog.actions) > limits.CATALOG_ACTIONS:", "if False:"),
    _catalog("parameters", "if len(action.parameters) > limits.ACTION_PARAMETERS:", "if False:"),
    _catalog("range", "if bound.low > bound.high:", "if False:"),
    _catalog("text", "if not 0 <= bound.max_chars <= most or len", "if len"),
    _catalog("names", "if not 1 <= bound.max_items <= limits.ITEMS_PER_ARRAY:", "if False:"),
    _catalog("profile-hash", "if len(entry.profile) != HASH_BYTES:", "if False:"),
    _catalog("point-range", "if not is_name(point.name) or point.low > point.high:", "if False:"),
    _catalog("ascending", "    if list(keys) != ordered:\n", "    if False:\n"),
    _catalog("settings", "if len(config.settings) > limits.ACTION_PARAMETERS:", "if False:"),
    _catalog("file-hash", "if any(len(digest) != HASH_BYTES for digest in hashes):", "if 0:"),
    _catalog(
        "file-names", "    if not all(map(is_name, [*names, ", "    if not all(map(str, [*names, "
    ),
    _catalog("counts", "if min([*counts, *releases], default=0) < 0:", "if False:"),
    _policy("sense", "POLICY_TYP, check_policy)", "POLICY_TYP, id)"),
    _policy("unknown-fields", "class Policy" + _STRICT, "class Policy" + _LAX, _UNKNOWN),
    _policy(
        "keys-distinct",
        "if not len(ids) == len(policy.approvers) <= limits.APPROVERS:",
        "if False:",
    ),
    _policy(
        "approvers",
        "if len(approver.key) != KEY_BYTES or not 1 <= len(approver.name) <= limits.PERSON_CHARS:",
        "if False:",
    ),
    _policy("classes", "if len(policy.classes) > limits.CLASSES:", "if False:"),
    _policy("class-names", "if not is_name(name):", "if False:"),
    _policy("threshold", "<= rule.threshold <= min(len(distinct), limits.", "<= 0 <= (limits."),
    _policy("threshold-bound", "min(len(distinct), limits.APPROVALS_PER_GRANT)", "len(distinct)"),
    _policy(
        "people-not-keys",
        "distinct = {people[KeyId(key)] for key in rule.approvers}",
        "distinct = set(rule.approvers)",
    ),
    _policy("grace", "if not 0 <= rule.offline_grace_s <= limits.GRACE_S:", "if False:"),
    _policy(
        "class-keys",
        "if len(set(rule.approvers)) != len(rule.approvers) or not set(rule.approvers) <= "
        "people.keys():",
        "if False:",
    ),
)
