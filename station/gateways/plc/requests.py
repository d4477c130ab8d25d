"""What the PLC asks of the station: triggers and commands, each a handshake of four phases. Pure.

The PLC sets its bit, waits for the answer, clears the bit and waits until the answer is cleared too.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from station.control_protocol import Coil, Part, Prepare, Recipe, Request
from station.gateways.base import Ask
from station.gateways.plc.area import Value, Values
from station.gateways.plc.registers import COMMANDS, ERRORS

__all__ = ["Requests"]

_Phase: TypeAlias = Literal["idle", "busy", "done", "failed"]


class _Call:
    """One bit of the PLC and its answer."""

    def __init__(self) -> None:
        self.phase: _Phase = "idle"
        self._number = 0

    def begins(self, bit: Value) -> bool:
        """Return whether the PLC asks anew; forgets the answer when the PLC lets go."""
        if not bit:
            self.phase = "idle"
        return bool(bit) and self.phase == "idle"

    def ask(self, number: int, request: Request) -> Ask:
        self.phase, self._number = "busy", number
        return Ask(number, request)

    def answer(self, answers: Mapping[int, str]) -> bool:
        """Take the answer, where it is there; return whether the station refused."""
        if self.phase != "busy" or self._number not in answers:
            return False
        self.phase = "failed" if answers[self._number] else "done"
        return self.phase == "failed"


class Requests:
    """Turns what the PLC wants into requests, and answers into what it is shown."""

    def __init__(self) -> None:
        self._trigger, self._command = _Call(), _Call()
        self._asked = self._acquisition = self._error = 0
        self._ready = False

    def begin(self) -> None:
        """Begin a session: what is asked for is asked anew; numbers go on."""
        self._trigger, self._command = _Call(), _Call()

    def step(self, control: Values, online: bool, answers: Mapping[int, str]) -> tuple[Ask, ...]:
        """Return what is to be asked of the station."""
        self._learn(answers)
        if control["clear_error"]:
            self._error = 0
        triggered, executed = self._trigger.begins(control["trigger"]), self._command.begins(control["execute"])
        self._ready = bool(online and control["trigger_enable"] and self._trigger.phase == "idle")
        asks: list[Ask] = []
        if triggered and self._ready:
            self._acquisition += 1
            asks.append(self._trigger.ask(self._next(), Part(str(control["part_id"]) or str(self._acquisition))))
        if executed:
            asks += self._execute(control)
        return tuple(asks)

    def values(self) -> dict[str, Value]:
        """Return what the PLC is shown of it."""
        trigger, command = self._trigger.phase, self._command.phase
        return {
            "trigger_ready": self._ready and trigger == "idle",
            "trigger_ack": trigger == "done",
            "acquisition_error": trigger == "failed",
            "command_busy": command == "busy",
            "command_done": command == "done",
            "command_failed": command == "failed",
            "error": self._error != 0,
            "error_code": self._error,
            "acquisition_id": self._acquisition,
        }

    def _learn(self, answers: Mapping[int, str]) -> None:
        for call, error in ((self._trigger, "trigger_refused"), (self._command, "command_refused")):
            if call.answer(answers):
                self._error = ERRORS[error]

    def _execute(self, control: Values) -> list[Ask]:
        request = _request(control)
        if request is None:
            self._command.phase, self._error = "failed", ERRORS["command_unknown"]
            return []
        return [self._command.ask(self._next(), request)]

    def _next(self) -> int:
        self._asked += 1
        return self._asked


def _request(control: Values) -> Request | None:
    """Return what the command word asks for; None where there is no such command, or its argument is missing."""
    job, coil = int(control["job"]), str(control["coil_id"])
    match control["command"]:
        case number if number == COMMANDS["select_job"]:
            return Recipe(job)
        case number if number == COMMANDS["prepare_job"]:
            return Prepare(job)
        case number if number == COMMANDS["begin_coil"] and coil:
            return Coil(coil)
        case number if number == COMMANDS["end_part"]:
            return Part("")
    return None
