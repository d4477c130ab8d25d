"""The table of the exchange: every word that PLC and station tell each other. Pure; docs/plc.md is made from it."""

from typing import Final

from station.gateways.plc.area import Area, Register

__all__ = [
    "COMMANDS",
    "CONTROL",
    "DEFECTS",
    "ERRORS",
    "HEAD",
    "OFFLINE_REASONS",
    "OTHER_LABEL",
    "OUTPUT",
    "REASONS",
    "RESULT",
    "STATUS",
    "STATUS_WORDS",
    "TAIL",
    "UNKNOWN_LABEL",
    "VERDICTS",
    "VERSION",
]

VERSION: Final = 1
"""Raised by a change that an old PLC program would misread."""
DEFECTS: Final = 8
"""Defects that a result has room for."""
UNKNOWN_LABEL: Final = 65535
OTHER_LABEL: Final = 65534

VERDICTS: Final = {"accept": 1, "reject": 2, "invalid": 3}
REASONS: Final = (
    *("lost", "incomplete", "unreadable", "unsupported", "repeated", "stale", "overrun", "dark", "overfull"),
    *("calibration", "engine", "not_finite"),
)
"""Of invalid results, by their codes from 1 on; only ever added to."""
COMMANDS: Final = {"select_job": 1, "prepare_job": 2, "begin_coil": 3, "end_part": 4}
OFFLINE_REASONS: Final = {"": 0, "station_silent": 1, "set_offline": 2, "gateway_ended": 3}
ERRORS: Final = {"": 0, "trigger_refused": 1, "command_unknown": 2, "command_refused": 3}


def _codes(codes: dict[str, int]) -> str:
    return ", ".join(f"{code} {name.replace('_', ' ')}" for name, code in codes.items() if name)


def _key(name: str, words: str) -> tuple[Register, ...]:
    return (
        Register(f"{name}_numbering", "u32", f"{words}: the numbering that the inspection id counts in"),
        Register(f"{name}_inspection", "u32", f"{words}: inspection id, the low 32 bits of `event`"),
        Register(f"{name}_check", "u16", f"{words}: check word, to be copied as it is"),
    )


CONTROL: Final = Area(
    Register(
        "control",
        "bits",
        "What the PLC wants",
        (
            ("trigger_enable", "triggers are taken"),
            ("trigger", "a part begins: set, wait for `trigger_ack`, clear, wait until that clears"),
            ("newest_only", "a newer result takes the place of one that waits; when 0, each waits to be taken"),
            ("set_offline", "show no results, take no triggers, reject"),
            ("clear_error", "forget `error`, `error_code` and `overrun`"),
            ("execute", "do `command`: set, wait for done or failed, clear, wait until that clears"),
            ("reset_counters", "counters of the head begin at 0"),
        ),
    ),
    Register("command", "u16", _codes(COMMANDS)),
    Register("job", "u16", "number of the recipe (`external_id`) for the commands 1 and 2; 0 the plain tables"),
    Register("label", "u16", "which label's name to show in `label_name`, by its code"),
    Register("encoder", "u32", "the line's counter, for a station whose `[line.encoder]` reads it here"),
    Register("part_id", "text", "of the part that begins with the trigger; without one the acquisition id"),
    Register("coil_id", "text", "for the command 3"),
    *_key("ack", "the result that was taken last"),
    Register("plc_heartbeat", "u16", "another value in every cycle of the PLC"),
)
"""PLC to station. The station takes what it read twice alike, and trusts no `ack` whose check word is wrong."""

OUTPUT: Final = Area(Register("outputs", "bits", "Written on its own, before all else", (("reject", "throw out"),)))

HEAD: Final = Area(
    Register("version", "u16", f"of this table: {VERSION}"),
    Register(
        "status",
        "bits",
        "How the station is",
        (
            ("online", "the station is heard and not set offline; when 0, everything means reject"),
            ("trigger_ready", "a trigger is taken"),
            ("trigger_ack", "the part has begun"),
            ("acquisition_error", "the station refused the part"),
            ("command_busy", "the command is being done"),
            ("command_done", "the station has agreed"),
            ("command_failed", "see `error_code`"),
            ("inspection_completed", "changes with every result that is shown"),
            ("results_valid", "a result is shown that was not acknowledged"),
            ("overrun", "a result gave way to a newer one, since `clear_error`"),
            ("error", "`error_code` is not 0"),
        ),
    ),
    Register("offline_reason", "u16", _codes(OFFLINE_REASONS)),
    Register("error_code", "u16", _codes(ERRORS)),
    Register("heartbeat", "u16", "counts up while the gateway runs"),
    Register("active_job", "u16", "number of the active recipe, 0 without one"),
    Register("acquisition_id", "u32", "counts triggers, since the gateway started"),
    Register("waiting", "u32", "results known to be behind this one"),
    Register("expired", "u32", "results that were too old when they could be shown, or not acknowledged in time"),
    Register("lost", "u32", "messages that never reached the gateway"),
    Register("late", "u32", "results that came after their part had passed the gate"),
    Register("overruns", "u32", "results that gave way to a newer one"),
    Register("label_name", "text", "name of the label that `label` asks for; empty where there is none"),
    *_key("head", "the result that is shown"),
)
"""Station to PLC. The head's key is written last and the tail's first: a result is whole when both are the same."""


def _defect(number: int) -> tuple[Register, ...]:
    name = f"defect_{number}"
    return (
        Register(f"{name}_label", "u16", "code of its label"),
        Register(f"{name}_confidence", "u16", "in thousandths"),
        Register(f"{name}_x", "u16", "px from the left"),
        Register(f"{name}_y", "u16", "px from the first row"),
        Register(f"{name}_width", "u16", "px"),
        Register(f"{name}_height", "u16", "px"),
        Register(f"{name}_width_mm", "u16", "0.1 mm, 0 where not known"),
        Register(f"{name}_length_mm", "u16", "0.1 mm along the line, 0 where not known"),
    )


RESULT: Final = Area(
    Register("verdict", "u16", _codes(VERDICTS)),
    Register(
        "result",
        "bits",
        "What is to be known of it",
        (
            ("accept", "the only word that lets a part pass"),
            ("reject", "throw it out"),
            ("invalid", "treat as reject"),
            ("late", "the decision came after the budget"),
            ("truncated", "there are more defects than fit in here"),
            ("position_known", "`position` is valid"),
            ("count_known", "`count` is valid"),
            ("target_known", "`target` is valid"),
            ("reversed", "this was seen before: the strip stands behind its farthest point"),
        ),
    ),
    Register("reason", "u16", "of a reject: code of its first label; of an invalid one: code of the reason"),
    Register("camera", "u16", "place of the camera in the configuration, from 1"),
    Register("sequence", "u32", "number of the camera's frame"),
    Register("result_job", "u16", "number of the recipe that it was judged by, 0 without one"),
    Register("age_ms", "u32", "from capture until it was shown"),
    Register("position", "i32", "0.1 mm of strip before its first row"),
    Register("count", "u32", "the line's counter at its first row"),
    Register("target", "u32", "what the counter shows when its first row is at the reject gate"),
    Register("defect_count", "u16", f"all that were found, {DEFECTS} of them below"),
    Register("result_part_id", "text", "the part that it belongs to"),
    Register("result_coil_id", "text", "the coil"),
    *(register for number in range(1, DEFECTS + 1) for register in _defect(number)),
)
TAIL: Final = Area(*_key("tail", "the result that is shown"))

STATUS: Final = (OUTPUT, HEAD, RESULT, TAIL)
"""Station to PLC, one area after the other."""
STATUS_WORDS: Final = sum(area.words for area in STATUS)
