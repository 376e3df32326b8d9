"""What keeps an answer from being taken for another, and a write from being doubled."""

from tests.mutants.mutant import cuts

_HTTP = "tests/contract/test_http_driver.py::test_"
_LINE = "tests/contract/test_line_driver.py::test_"
_LATE = _HTTP + "an_answer_that_comes_too_late_is_not_taken_for_the_next_one"
_NONE = _HTTP + "an_answer_that_is_none_gives_no_value"
_REFUSED = (
    "tests/property/test_device_text.py::"
    "test_what_is_no_answer_is_refused_before_more_is_waited_for"
)
_SECRET = _HTTP + "a_file_that_is_no_secret_is_a_mistake"

_SNMP = "tests/contract/test_snmp_driver.py::test_"
_AFTER = "tests/unit/test_bus_late_answers.py::test_"
_turns = cuts("bus-turns", "agent/buses/turns.py", _AFTER)
_SDI12 = "tests/unit/test_sdi12.py::test_"
_sdi12 = cuts("sdi12", "agent/drivers/line/sdi12.py", _SDI12)
_bus = cuts("http-bus", "agent/buses/http.py")
_secret = cuts("secret", "agent/buses/secret.py")
_MQTT = "tests/contract/test_mqtt_driver.py::test_"
_mqtt_driver = cuts("mqtt-driver", "agent/drivers/mqtt/driver.py")
_snmp = cuts("snmp", "agent/drivers/snmp/codec.py")
_snmp_driver = cuts("snmp-driver", "agent/drivers/snmp/driver.py")
_driver = cuts("http-driver", "agent/drivers/http_json/driver.py")
_codec = cuts("http-codec", "agent/drivers/http_json/codec.py", usual=_REFUSED)
_DOCUMENT = "tests/unit/test_http_document.py::test_"
_MODBUS = "tests/contract/test_modbus_driver.py::test_"
_modbus = cuts("modbus-driver", "agent/drivers/modbus/driver.py", _MODBUS)
_frames = cuts(
    "modbus-frames", "agent/drivers/modbus/codec.py", "tests/unit/test_modbus_codec.py::test_"
)
_document = cuts("http-document", "agent/drivers/http_json/document.py", _DOCUMENT)
_lines = cuts("lines", "agent/drivers/line/framing.py")
_ANSWERS = "tests/unit/test_line_answers.py::test_"
_answers = cuts("line-answers", "agent/drivers/line/codec.py", _ANSWERS)

_point = cuts("point", "shared/model/point.py")
_smp_values = cuts("smp-values", "agent/drivers/smp/values.py")
_SUNSPEC = "tests/contract/test_sunspec_import.py::test_"
_sunspec = cuts("sunspec", "agent/services/sunspec_import.py", _SUNSPEC)
_dump = cuts(
    "sunspec-dump", "agent/services/sunspec_files.py", "tests/unit/test_sunspec_model.py::"
)
_WORDS = "tests/unit/test_device_words.py::test_"
_words = cuts("device-words", "agent/core/device_words.py", _WORDS)
_STATES = "tests/unit/test_device_states.py::test_"
_states = cuts("device-states", "coordinator/transactions/device_states.py", _STATES)
_said = cuts("device-words", "coordinator/core/intake.py", _STATES)

_targets = cuts(
    "device-targets",
    "coordinator/transactions/device_words.py",
    "tests/unit/test_device_targets.py::test_",
)
_silence = cuts("silence", "agent/services/status.py", "tests/simulation/test_polling.py::test_")

DEVICES = (
    _targets(
        "twins",
        'first = 1 if "id" in wanted.keys else 2',
        "first = 2",
        "devices_that_say_the_same_are_told_apart_by_their_ids",
    ),
    _frames(
        "echo",
        "broken, more_may_come = False, self.request.startswith(buffer)",
        "broken, more_may_come = False, False",
        "the_echo_of_a_write_is_passed_over",
    ),
    _silence(
        "unsure",
        "unsure=not unheard <= silent.keys()",
        "unsure=False",
        "who_does_not_answer_is_known_with_the_last_time_that_it_did",
    ),
    _words(
        "unsure",
        "unsure = self.steps is None and silence.unsure and not moving.images",
        "unsure = False",
        "nothing_is_said_after_a_start_before_each_device_could_answer",
    ),
    _words(
        "again",
        "return device, silence.heard_ms.get(device), quarter",
        "return device, int(device in silence.heard_ms), quarter",
        "who_answered_between_two_contacts_and_fell_silent_again_is_told_anew",
    ),
    _states(
        "restart",
        "if since_ms is not None and word.unheard:",
        "if False:",
        "a_restart_of_the_gateway_shortens_no_silence",
    ),
    _states(
        "late",
        "report.wall_ms if report.clock_state in _TRUSTED else now_ms",
        "now_ms",
        "a_report_that_comes_late_tells_when_it_was_by_a_clock_that_is_right",
    ),
    _said(
        "names",
        "if not all(map(is_name, names)):",
        "if False:",
        "words_of_devices_that_are_none_are_refused",
    ),
    _turns(
        "waits-already",
        "            if overtakes or self._late_s(waiting.ticket):\n",
        "            if False:\n",
        "a_command_that_waits_already_does_not_take_the_late_answer_to_a_poll",
    ),
    _turns(
        "overtakes",
        "            if overtakes or self._late_s(waiting.ticket):\n",
        "            if self._late_s(waiting.ticket):\n",
        "a_poll_gives_way_to_a_command_before_it_is_repeated",
    ),
    _turns(
        "anybodys-repeat",
        "        if owner is ticket:\n",
        "        if owner.peer == ticket.peer and ticket.urgency is Urgency.POLL:\n",
        "a_repeated_poll_does_not_take_the_late_answer_to_a_command_between",
    ),
    _turns(
        "alarm",
        "        if self._holder is None:\n            self._hand_on()\n\n",
        "        self._hand_on()\n\n",
        "a_turn_is_its_holders_when_a_late_answer_can_no_longer_come",
    ),
    _sdi12(
        "uncalled",
        "if not self._count or self._data >= 0:",
        "if True:",
        "a_sensor_is_asked_when_it_calls_or_its_time_is_over",
    ),
    _sdi12(
        "calls-late",
        "if not text and self._uncalled:",
        "if False:",
        "a_sensor_is_asked_when_it_calls_or_its_time_is_over",
    ),
    _bus("late", "            connection.abort()\n            raise", "            raise", _LATE),
    _secret("readable", "if mode & (stat.S_IRWXG | stat.S_IRWXO):", "if False:", _SECRET),
    _driver(
        "redirect",
        "if answer.status >= 300:",
        "if answer.status >= 400:",
        _NONE,
    ),
    _driver(
        "lock-out",
        "return self._challenge is not None and (before is None or aged)",
        "return self._challenge is not None",
        _HTTP + "a_wrong_password_is_tried_once_for_each_request",
    ),
    _driver(
        "twice",
        'repeatable = request.method == "GET" and not writes',
        "repeatable = True",
        _HTTP + "a_write_without_an_answer_is_not_sent_again",
    ),
    _document(
        "complaint",
        "if found is _MISSING or not found:",
        'if found in (_MISSING, None, False, "", 0):',
        "a_device_that_has_nothing_to_complain_of_does_not_complain",
    ),
    _document(
        "escaped",
        "return quote(bare, safe=_PLAIN)",
        "return bare",
        "a_value_stays_in_its_place_in_a_path",
    ),
    _modbus(
        "in-vain",
        "            self._note_in_vain(block)\n",
        "            pass\n",
        "pieces_that_no_one_answers_are_tried_ever_more_rarely",
    ),
    _modbus(
        "in-vain-asked",
        "urgency is not Urgency.COMMAND and in_vain is not None",
        "in_vain is not None",
        "pieces_that_no_one_answers_are_tried_ever_more_rarely",
    ),
    _modbus(
        "in-vain-pieces",
        "            self._in_vain.pop(_key(part), None)\n",
        "            pass\n",
        "pieces_of_what_is_taken_apart_again_are_all_tried",
    ),
    _codec("length", 'raise _bad("the answer does not tell its length")', "pass"),
    _codec("bound", "if (self._body.left or 0) > limits.HTTP_BODY_BYTES:", "if False:"),
    _lines(
        "checksum",
        "if checksum(dialect.checksum, body).encode() != check.upper():",
        "if False:",
        _LINE + "sentences_of_others_and_damaged_ones_do_not_count",
    ),
    _lines(
        "noise",
        "begun = [line.lstrip(_NOISE)]",
        "begun = [line]",
        _ANSWERS + "other_lines_and_noise_are_passed_over",
    ),
    _lines(
        "starts",
        "reversed(range(1, len(parts)))]",
        "reversed(range(len(parts) - 1, len(parts)))]",
        _ANSWERS + "a_start_in_the_data_is_data",
    ),
    _answers(
        "stray",
        "if not texts and self._begins.encode() in line:",
        "if not texts:",
        "other_lines_and_noise_are_passed_over",
    ),
    _answers(
        "damaged",
        "if not texts and self._begins.encode() in line:",
        "if False:",
        "an_answer_whose_checksum_does_not_fit_is_refused_at_once",
    ),
    _snmp(
        "number",
        "if ber.number_of(number) != self._number:",
        "if False:",
        _SNMP + "an_answer_to_another_request_or_from_a_stranger_is_passed_over",
    ),
    _snmp(
        "full",
        "if len(self.contents) == _FULL.get(self.tag):",
        "if False:",
        "tests/unit/test_snmp_values.py::test_a_full_number_without_a_sign_is_known_by_its_type",
    ),
    _snmp(
        "signed",
        "if len(self.contents) == _FULL.get(self.tag):",
        "if len(self.contents) in _FULL.values():",
        "tests/unit/test_snmp_values.py::test_a_number_with_a_sign_keeps_it",
    ),
    _snmp(
        "stranger",
        "or community != self._community",
        "",
        _SNMP + "an_answer_to_another_request_or_from_a_stranger_is_passed_over",
    ),
    _snmp_driver(
        "twice",
        "repeatable=kind == codec.GET",
        "repeatable=True",
        "tests/contract/test_drivers.py::test_a_write_without_an_answer_is_not_sent_again",
    ),
    _mqtt_driver(
        "vouched",
        "vouched = not heard.retained or",
        "vouched = True or",
        _MQTT + "a_kept_word_that_nobody_vouches_for_is_uncertain_until_it_is_said_again",
    ),
    _mqtt_driver(
        "old",
        "self._bus.post.forget([topic])",
        "pass",
        _MQTT + "after_a_command_only_a_new_message_counts",
    ),
    _mqtt_driver(
        "offline",
        "if heard is not None and heard.payload != self._dialect.online.encode():",
        "if False:",
        _MQTT + "a_last_will_makes_all_points_silent_and_refuses_commands",
    ),
    _modbus(
        "any-port",
        'if not bus.settings.url.startswith(("serial:", "rtu+tcp:", "tcp:")):',
        "if False:",
        "a_port_that_carries_no_modbus_is_refused",
    ),
    _point(
        "limit-that-is-none",
        '            return f"at most {self.maximum}"\n',
        '            return f"{self.minimum} to {self.maximum}"\n',
        "tests/unit/test_smp_values.py::"
        "test_a_value_beyond_its_limits_is_refused_with_those_it_has",
        "tests/contract/test_device_writes.py::test_a_limit_that_a_point_has_not_is_not_told",
    ),
    _smp_values(
        "rounds-no-limit",
        "if not believable(point, value, lambda number: at.decode(at.encode(number))):",
        "if not point.within_limits(value):",
        "tests/unit/test_smp_values.py::"
        "test_a_limit_that_a_float_can_only_come_near_is_within_itself",
    ),
    _sunspec(
        "drops-the-third",
        "        self.found[name] = replace(point, name=name)\n",
        "        if number < 3:\n            self.found[name] = replace(point, name=name)\n",
        "a_model_may_stand_there_several_times",
    ),
    _sunspec(
        "second-is-the-first",
        "            number = self.models.count(model)\n",
        "            number = 1\n",
        "a_second_inverter_is_no_other_form_of_the_first_one",
    ),
    _sunspec(
        "keeps-no-ending",
        "return begin + name[len(begin) - _NAME_CHARS :]",
        "return begin + name[: _NAME_CHARS - len(begin)]",
        "names_that_are_too_long_stay_apart",
    ),
    _sunspec(
        "leaves-out-silently",
        "            self.left_out += 1\n",
        "",
        "what_has_no_room_in_a_profile_is_counted",
    ),
    _dump(
        "zeros",
        'return int(text, 16 if text.startswith("0x") else 10)',
        "return int(text, 0)",
        "test_numbers_may_be_filled_up_with_zeros",
    ),
)
