"""Length, shape, type, key ids, threshold, canonical form: before any document is looked at."""

from tests.mutants.mutant import cuts

_TESTS = "tests/unit/test_trust_envelope.py::test_"
_BOMBS = "tests/unit/test_trust_bombs.py::test_"


_VERSIONS = "tests/golden/wire/test_versions.py::test_"
_envelope = cuts("envelope", "shared/trust/envelope.py", _TESTS)
_codec = cuts("codec", "shared/wire/codec.py")

_FORM = _TESTS + "a_control_document_has_one_form"

ENVELOPE = (
    _envelope(
        "length",
        "    if len(data) > bound:\n",
        "    if len(data) > bound << 40:\n",
        "length_is_judged_before_anything_else",
    ),
    _envelope(
        "version",
        "if envelope.version != _VERSION:",
        "if False:",
        "what_is_no_envelope_is_refused",
    ),
    _envelope(
        "shape",
        "class _Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True)",
        "class _Envelope(msgspec.Struct, frozen=True, array_like=True)",
        "what_is_no_envelope_is_refused",
    ),
    _envelope(
        "type",
        "    _check_type(envelope, typ)\n    _check_distinct(envelope)\n    message",
        "    _check_distinct(envelope)\n    message",
        "a_document_does_not_pass_another_door",
    ),
    _envelope(
        "type-not-signed",
        "pre_authentication_encoding(envelope.typ, envelope.payload)\n    signed",
        "pre_authentication_encoding('reply/1', envelope.payload)\n    signed",
        "the_type_is_part_of_what_is_signed",
    ),
    _envelope(
        "distinct-keys",
        "    _check_distinct(envelope)\n    message",
        "    message",
        "one_signature_repeated_does_not_meet_a_threshold_of_two",
    ),
    _envelope(
        "one-key-counted-twice",
        "    _check_distinct(envelope)\n    message = pre_authentication_encoding"
        "(envelope.typ, envelope.payload)\n    signed = frozenset(\n        KeyId(key)\n",
        "    message = pre_authentication_encoding"
        "(envelope.typ, envelope.payload)\n    signed = frozenset(\n        KeyId(signature)\n",
        "one_signature_repeated_does_not_meet_a_threshold_of_two",
        "a_document_opens_once_enough_keys_signed_it",
    ),
    _envelope(
        "threshold",
        "if len(signed) < max(1, threshold):",
        "if len(signed) < 1:",
        "fewer_keys_than_the_threshold_are_refused",
    ),
    _envelope(
        "threshold-of-nobody",
        "if len(signed) < max(1, threshold):",
        "if len(signed) < threshold:",
        "a_threshold_of_nobody_still_asks_for_somebody",
    ),
    _envelope(
        "signature",
        "    except (InvalidSignature, ValueError):\n        return False\n",
        "    except (InvalidSignature, ValueError):\n        return True\n",
        "a_signature_under_another_keys_id_does_not_count",
    ),
    _envelope(
        "strangers",
        "(public := keys.get(KeyId(key))) is not None and",
        "(public := keys.get(KeyId(key), next(iter(keys.values())))) is not None and True or",
        "a_stranger_beside_a_signer_neither_helps_nor_harms",
    ),
    _codec(
        "length",
        "    if len(data) > bound:\n",
        "    if len(data) > bound << 40:\n",
        _BOMBS + "a_document_over_its_bound_is_refused_unread",
    ),
    _codec(
        "orders-written-in-full",
        "    if isinstance(value, msgspec.Struct) and value.__struct_config__",
        "    if False and value.__struct_config__",
        _VERSIONS + "what_the_next_version_writes_is_read_by_this_one",
    ),
    _codec("canonical", "if msgpack.packb(plain, use_bin_type=True) != data:", "if False:", _FORM),
    _codec("keys-in-order", 'if keys != sorted(cast("list[str]", keys)):', "if False:", _FORM),
    _codec("finite", "if not math.isfinite(number) or (", "if (", _FORM),
    _codec("minus-zero", "or (number == 0 and math.copysign(1, number) < 0)", "", _FORM),
    _codec(
        "integers", 'if not _LEAST <= cast("int", value) <= limits.INT_MAX:', "if False:", _FORM
    ),
    _codec("keys", "if not all(type(key) is str for key in keys):", "if False:", _FORM),
    _codec("depth", "if depth == 0 and any(", "if depth == -99 and any(", _FORM),
    _codec(
        "strict-types",
        "builtin_types=(bytes,), strict=True",
        "builtin_types=(bytes,), strict=False",
        _TESTS + "a_number_is_neither_a_flag_nor_a_fraction",
    ),
    _codec(
        "items",
        "    _count(data, items)\n",
        "",
        _BOMBS + "a_bomb_costs_next_to_nothing",
    ),
    _codec(
        "items-inside",
        "open_values += _INNER[first] - 1",
        "open_values += min(_INNER[first], 1) - 1",
        _BOMBS + "values_are_counted_as_msgpack_builds_them",
    ),
)
