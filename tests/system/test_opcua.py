"""The OPC UA server as its clients have it: a real client of the standard, over TCP, against the gateway's outlet."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from shadowline.errors import ConfigError, PeerLost
from station.client import Gap, Renumbered
from station.control_protocol import Part, Recipe, Unprepare
from station.event import ModelAction, ModelEvent, StateEvent
from station.gateways.base import Expired
from station.gateways.opcua.outlet import OpcUaOutlet
from tests.journal_double import inspection
from tests.opcua import (
    Driven,
    Listener,
    call,
    connected,
    driven,
    heartbeat,
    listening,
    marked,
    node,
    opcua_config,
    turning,
    value,
)

STATE_CHANGED, ERROR, ERROR_RESOLVED = 1018, 1019, 1020
RECIPE_PREPARED, READY, JOB_STARTED, RESULT_READY, ACQUISITION_DONE = 1022, 1023, 1013, 1024, 1025
WARNING, FAULT, PERSISTENT = 1034, 1035, 1036
MACHINE = "VisionStateMachine"
AUTOMATIC = f"{MACHINE}.AutomaticModeStateMachine"
IDS = (ua.VariantType.ExtensionObject,)
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "opcua_client.py"
CONFIG = """
[station]
name = "nobody"

[[camera]]
name = "top"
type = "simulated"

[publish]
endpoint = "tcp://127.0.0.1:9"

[journal]
folder = "journal"

[gateway.ua]
type = "opcua"
port = {port}
folder = "ua"
plain_network = true
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ua") / "ua"


@pytest.fixture(scope="module")
def commanded(folder: Path) -> Iterator[Driven]:
    """A plain server whose clients command it, with a recipe and a product."""
    tables = {"recipe": {"wide": {"external_id": 7}}}
    settings = {"start": "commanded", "products": {"sheet": "wide"}, "results": 1, "command_s": 0.5}
    with driven(folder, settings, **tables) as one:
        one.turn()
        yield one


@pytest.fixture
def opcua(commanded: Driven) -> Iterator[Driven]:
    """The server as after its start, but for the numbers of its messages and jobs."""
    commanded.requests.clear()
    commanded.say(online=True, beat=heartbeat())
    yield commanded

    async def reset() -> None:
        async with connected(commanded.url) as client, turning(commanded):
            await call(client, f"{AUTOMATIC}.Abort", 0, "")
            await call(client, f"{AUTOMATIC}.SimulationMode", False, 0, "")
            await call(client, f"{MACHINE}.Reset", 0, "")

    asyncio.run(reset())


async def start(client: Any, method: str, part: str = "", recipe: str = "") -> list[Any]:
    """Call a start method; return job and error."""
    ids = (ua.MeasIdDataType(Id="M"), ua.PartIdDataType(Id=part), ua.RecipeIdExternalDataType(Id=recipe))
    result: list[Any] = await call(
        client, f"{AUTOMATIC}.{method}", *ids, ua.ProductIdDataType(), ua.Variant([], IDS[0])
    )
    return result


async def prepare(client: Any, name: str, method: str = "PrepareRecipe") -> list[Any]:
    ids = (ua.RecipeIdExternalDataType(Id=name), ua.RecipeIdInternalDataType())
    result: list[Any] = await call(client, f"RecipeManagement.{method}", *ids)
    return result


async def operational(client: Any) -> None:
    """Bring the system to Ready."""
    assert await call(client, f"{MACHINE}.SelectModeAutomatic") == 0
    assert (await prepare(client, "default"))[1:] == [True, 0]
    assert await value(client, f"{AUTOMATIC}.CurrentState") == "Ready"


def steps(listener: Listener) -> list[str]:
    return [event.Transition.Text for event in listener.events]


DRIVEN = [
    "PreoperationalToOperational",
    "PreoperationalToInitialized",
    "InitializedToReadyRecipe",
    "ReadyToInitializedRecipe",
    "InitializedToReadyProduct",
    "ReadyToInitializedProduct",
    "InitializedToReadyRecipe",
    "ReadyToSingleExecution",
    "SingleExecutionToReadyStop",
    "ReadyToSingleExecution",
    "SingleExecutionToReadyAbort",
    "ReadyToContinuousExecution",
    "ContinuousExecutionToReadyStop",
    "ReadyToContinuousExecution",
    "ContinuousExecutionToReadyAbort",
    "OperationalToPreoperational",
    "PreoperationalToHalted",
    "HaltedToPreoperational",
    "PreoperationalToHalted",
    "HaltedToPreoperational",
    "PreoperationalToOperational",
    "PreoperationalToInitialized",
    "OperationalToHalted",
    "HaltedToPreoperational",
]


def test_a_client_drives_every_transition_of_the_automatic_mode(opcua: Driven) -> None:
    async def drive() -> list[str]:
        async with connected(opcua.url) as client, turning(opcua):
            listener = await listening(client, STATE_CHANGED)
            await operational(client)
            await prepare(client, "default", "UnprepareRecipe")
            product = ua.ProductIdDataType(Id="sheet")
            assert (await call(client, "RecipeManagement.PrepareProduct", product))[1] == 0
            await listener.until(lambda events: "InitializedToReadyProduct" in steps(listener), "the product's recipe")
            assert (await call(client, "RecipeManagement.UnprepareProduct", product))[1] == 0
            assert (await prepare(client, "7"))[1:] == [True, 0]
            for method, ends in (("StartSingleJob", ("Stop", "Abort")), ("StartContinuous", ("Stop", "Abort"))):
                for end in ends:
                    assert (await start(client, method))[1] == 0
                    assert await call(client, f"{AUTOMATIC}.{end}", 3, "shift ends") == 0
            for method in ("Reset", "Halt", "Reset", "Halt", "Reset", "SelectModeAutomatic", "Halt", "Reset"):
                reason = () if method == "SelectModeAutomatic" else (0, "")
                assert await call(client, f"{MACHINE}.{method}", *reason) == 0, method
            await listener.until(lambda events: len(events) >= len(DRIVEN), "all steps")
            return steps(listener)

    assert asyncio.run(drive()) == DRIVEN


def test_what_has_no_place_in_a_state_is_refused_and_changes_nothing(opcua: Driven) -> None:
    async def drive() -> None:
        async with connected(opcua.url) as client, turning(opcua):
            for method in ("Stop", "Abort"):
                assert await call(client, f"{AUTOMATIC}.{method}", 0, "") == -1
            assert (await start(client, "StartSingleJob"))[1] == -1
            assert (await prepare(client, "wide"))[1:] == [False, -1]
            assert await call(client, f"{MACHINE}.Reset", 0, "") == -1
            assert await value(client, f"{MACHINE}.CurrentState") == "Preoperational"
            with pytest.raises(ua.UaStatusCodeError, match="BadStateNotActive"):
                await value(client, f"{AUTOMATIC}.CurrentState")
            await operational(client)
            assert (await prepare(client, "narrow"))[1:] == [False, -2]
            assert (await start(client, "StartSingleJob", recipe="wide"))[1] == -2, "not the active one"
            assert await call(client, f"{MACHINE}.SelectModeAutomatic") == -1

    asyncio.run(drive())


@pytest.mark.parametrize(
    ("path", "arguments", "fault"),
    [
        (f"{MACHINE}.Halt", (), "BadArgumentsMissing"),
        (f"{MACHINE}.Halt", (1, "x", "y"), "BadTooManyArguments"),
        (f"{MACHINE}.Halt", ("one", "x"), "BadInvalidArgument"),
        (f"{MACHINE}.Halt", (1, "x" * 1000), "BadInvalidArgument"),
        (f"{AUTOMATIC}.SimulationMode", (1, 0, ""), "BadInvalidArgument"),
        ("RecipeManagement.RemoveRecipe", ("x",), "BadNotSupported"),
        ("ConfigurationManagement.AddConfiguration", ("x",), "BadNotSupported"),
        ("SafetyStateManagement.ReportSafetyState", (True, ""), "BadNotSupported"),
    ],
)
def test_wrong_arguments_and_what_is_not_offered_have_their_codes(
    plain: Driven, path: str, arguments: tuple[Any, ...], fault: str
) -> None:
    async def drive() -> None:
        async with connected(plain.url) as client:
            with pytest.raises(ua.UaStatusCodeError, match=fault):
                await call(client, path, *arguments)

    asyncio.run(drive())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    """A plain server that runs by itself."""
    with driven(tmp_path_factory.mktemp("plain") / "ua", {"results": 50}) as one:
        one.turn()
        yield one


@pytest.fixture
def plain(shared: Driven) -> Driven:
    shared.say(online=True, beat=heartbeat())
    return shared


def content(event: Any) -> list[Any]:
    return [variant.Value for variant in event]


def test_a_result_comes_with_all_its_defects_and_can_be_asked_for(plain: Driven) -> None:
    sent = marked(1001, 40, part="P7", job="order1")

    async def drive() -> tuple[Any, Any, Any, Any]:
        async with connected(plain.url) as client:
            listener = await listening(client, RESULT_READY)
            await plain.puts(sent, done=1001)
            await listener.until(bool, "the result")
            id, timeout = ua.ResultIdDataType(Id="run1-1001"), 0
            whole = await call(client, "ResultManagement.GetResultById", id, timeout)
            parts = await call(client, "ResultManagement.GetResultComponentsById", id, timeout)
            unknown = await call(client, "ResultManagement.GetResultById", ua.ResultIdDataType(Id="x"), timeout)
            return listener.events[-1], whole, parts, unknown

    event, (_, result, error), parts, unknown = asyncio.run(drive())
    assert (error, unknown[-1], parts[-1]) == (0, -2, 0)
    assert content(event.ResultContent) == content(result.ResultContent) == content(parts[15])
    about, *defects = content(result.ResultContent)
    assert (about.Camera, about.Verdict, about.Reason, about.Event) == ("top", "reject", "scratch", 1001)
    assert (about.Order, result.PartId.Id, event.PartId.Id) == ("order1", "P7", "P7")
    assert [one.AreaPx for one in defects] == [one.area_px for one in sent.defects]
    first = defects[0]
    assert (first.Label, first.Confidence, list(first.BoxPx), first.Depth) == ("scratch", 0.5, [0, 2, 3, 4], -3.5)
    assert (first.Novelty, first.PositionMm, first.GoesOn) == ([0.25], [1.5, 2.5], True)
    assert (first.BoxMm, first.AreaMm2, first.FoundBy, first.Score) == ([1, 2, 3, 4], [5.5], "shadow", 1.0)
    assert (result.ResultState, result.IsSimulated, result.InternalRecipeId.Id) == (1, False, "default")
    assert result.JobId.Id == event.JobId.Id != ""


async def listed(client: Any, state: int = 0, part: str = "", most: int = 10, start: int = 0) -> list[Any]:
    empty = (ua.RecipeIdExternalDataType(), ua.RecipeIdInternalDataType(), ua.ConfigurationIdDataType())
    ids = (
        ua.MeasIdDataType(),
        ua.PartIdDataType(Id=part),
        *empty,
        ua.ConfigurationIdDataType(),
        ua.ProductIdDataType(),
    )
    pages = [ua.Variant(number, ua.VariantType.UInt32) for number in (most, start)]
    arguments = (state, *ids, ua.JobIdDataType(), *pages, 0)
    result: list[Any] = await call(client, "ResultManagement.GetResultListFiltered", *arguments)
    return result


def test_results_are_listed_by_what_is_wanted_page_by_page(plain: Driven) -> None:
    invalid = inspection(2004, captured_ns=time.time_ns())
    invalid.verdict = "invalid"
    sent = [marked(2000 + i, 1, part="A" if i % 2 else "B") for i in range(1, 4)]

    async def drive() -> None:
        async with connected(plain.url) as client:
            await plain.puts(*sent, invalid, done=2004)
            complete, count, _, found, error = await listed(client, part="A", most=1)
            assert (complete, count, error) == (False, 1, 0)
            assert found[0].ResultId.Id == "run1-2001"
            complete, _, _, found, _ = await listed(client, part="A", start=1)
            assert (complete, [one.ResultId.Id for one in found]) == (True, ["run1-2003"])
            _, _, _, found, _ = await listed(client, state=4)
            assert [one.ResultId.Id for one in found] == ["run1-2004"]

    asyncio.run(drive())


def test_plain_values_follow_the_line(plain: Driven) -> None:
    async def drive() -> None:
        async with connected(plain.url) as client:
            before = await value(client, "Live.Rejected")
            plain.say(reject=True, expired=3, lost=2, late=1)
            await plain.puts(marked(3001), Gap(3002, 3004, "gone"), Expired(3005, 3009, 4), done=3009)
            shown = {name: await value(client, f"Live.{name}") for name in ("LastVerdict", "LastReason", "LastEvent")}
            assert shown == {"LastVerdict": "reject", "LastReason": "scratch", "LastEvent": 3001}
            assert await value(client, "Live.Rejected") == before + 1
            counts = [
                await value(client, f"Live.{name}") for name in ("Expired", "Lost", "Late", "Reject", "LineOnline")
            ]
            assert counts == [3, 2, 1, True, True]
            assert await value(client, "Live.Cameras.top") == "online"
            with pytest.raises(ua.UaStatusCodeError, match=r"BadUserAccessDenied|BadNotWritable"):
                await (await node(client, "Live.Reject")).write_value(False)

    asyncio.run(drive())


def test_numbers_that_begin_anew_are_not_taken_for_old_ones(plain: Driven) -> None:
    plain.put(marked(4000), done=4000)
    plain.put(Renumbered("another journal"), marked(1), done=1)
    plain.put(Gap(2, 3999, "test"), done=3999)


def test_a_silent_station_is_an_error_until_it_is_heard_again(plain: Driven) -> None:
    async def drive() -> None:
        async with connected(plain.url) as client, turning(plain):
            listener = await listening(client, STATE_CHANGED, ERROR, ERROR_RESOLVED, JOB_STARTED)
            plain.say(online=False)
            await listener.until(lambda events: len(events) >= 2, "the error")
            assert await value(client, f"{MACHINE}.CurrentState") == "Error"
            assert await value(client, "SystemState") == ua.SystemStateDescriptionDataType(
                State=ua.SystemStateDataType.UDT_5, StateDescription="UDT_5"
            )
            assert [await value(client, f"Live.{name}") for name in ("LineOnline", "Reject")] == [False, True]
            plain.say(online=True)
            await listener.until(lambda events: len(events) >= 7, "the way back")
            assert await value(client, f"{AUTOMATIC}.CurrentState") == "ContinuousExecution"
            kinds = [event.EventType.Identifier for event in listener.events]
            assert kinds == [1018, 1019, 1018, 1020, 1018, 1018, 1013]

    asyncio.run(drive())


def test_no_camera_that_works_is_an_error_too(plain: Driven) -> None:
    async def drive() -> None:
        async with connected(plain.url) as client, turning(plain):
            listener = await listening(client, ERROR, ERROR_RESOLVED)
            plain.say(beat=heartbeat("offline"))
            await listener.until(lambda events: len(events) == 1, "the error")
            assert listener.events[0].Message.Text == "has no camera that works: top offline"
            plain.say(beat=heartbeat("degraded"))
            await listener.until(lambda events: len(events) == 2, "the end of it")

    asyncio.run(drive())


def camera(event: int, state: str) -> StateEvent:
    return StateEvent(event, heartbeat().origin, "top", state, "unplugged", 0, time.time_ns())  # type: ignore[arg-type]


def test_a_lost_camera_is_a_condition_until_it_is_acknowledged_and_confirmed(plain: Driven) -> None:
    async def drive() -> None:
        async with connected(plain.url) as client:
            listener = await listening(client, FAULT)
            await plain.puts(camera(5001, "offline"), done=5001)
            await listener.until(bool, "the condition")
            told = listener.events[-1]
            assert (told.Message.Text, told.Retain, told.Severity) == ("offline: unplugged", True, 700)
            condition = client.get_node(told.NodeId)
            methods = [client.get_node(ua.NodeId(number)) for number in (9111, 9113)]
            comment = ua.LocalizedText("seen")
            with pytest.raises(ua.UaStatusCodeError, match="BadEventIdUnknown"):
                await condition.call_method(methods[0], b"unknown", comment)
            await condition.call_method(methods[0], told.EventId, comment)
            with pytest.raises(ua.UaStatusCodeError, match="BadConditionBranchAlreadyAcked"):
                await condition.call_method(methods[0], told.EventId, comment)
            await plain.puts(camera(5002, "online"), done=5002)
            await listener.until(lambda events: len(events) == 3, "the camera is back")
            assert listener.events[-1].Retain, "not confirmed yet"
            await condition.call_method(methods[1], listener.events[-1].EventId, comment)
            await listener.until(lambda events: len(events) == 4, "confirmed")
            last = listener.events[-1]
            assert (last.Retain, getattr(last, "AckedState/Id"), getattr(last, "ConfirmedState/Id")) == (
                False,
                True,
                True,
            )
            assert last.Comment.Text == "seen"

    asyncio.run(drive())


@pytest.mark.parametrize(
    ("number", "action", "kind", "severity"),
    [(5501, "refused", WARNING, 400), (5511, "rolled_back", WARNING, 400), (5521, "failed_over", FAULT, 700)],
)
def test_what_fails_in_the_background_is_told(
    plain: Driven, number: int, action: ModelAction, kind: int, severity: int
) -> None:
    async def drive() -> None:
        origin, words = heartbeat().origin, "recipe wide: wide.onnx: no ONNX file"
        async with connected(plain.url) as client:
            listener = await listening(client, kind)
            good = ModelEvent(number, origin, "kept", "m", "recipe thin is prepared", 0, time.time_ns())
            bad = ModelEvent(number + 1, origin, action, "m", words, 0, time.time_ns())
            await plain.puts(good, bad, done=number + 1)
            await listener.until(lambda events: len(events) == 2, "the condition, and its end")
            assert {event.Message.Text for event in listener.events} == {f"{action}: {words}"}
            assert [(event.Severity, event.Retain) for event in listener.events] == [(severity, True), (100, True)]

    asyncio.run(drive())


def test_who_comes_late_refreshes_conditions_and_confirms_all(plain: Driven) -> None:
    async def drive() -> None:
        await plain.puts(camera(6001, "offline"), done=6001)
        async with connected(plain.url) as client:
            listener = Listener()
            subscription = await client.create_subscription(10, listener)
            standard = await client.get_namespace_index("http://opcfoundation.org/UA/MachineVision")
            kind = client.get_node(ua.NodeId(FAULT, standard))
            await subscription.subscribe_alarms_and_conditions(ua.ObjectIds.Server, kind)
            refresh = client.get_node(ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh))
            number = ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)
            await client.get_node(ua.NodeId(ua.ObjectIds.ConditionType)).call_method(refresh, number)
            await listener.until(
                lambda events: any(one.Message.Text.startswith("offline") for one in events), "refresh"
            )
            await call(client, f"{MACHINE}.ConfirmAll", ua.LocalizedText("all well"))
            await plain.puts(camera(6002, "online"), done=6002)
            await listener.until(lambda events: events[-1].Retain is False, "the end of it")

    asyncio.run(drive())


def test_a_single_job_is_the_next_picture_that_is_taken(opcua: Driven) -> None:
    async def drive() -> None:
        async with connected(opcua.url) as client, turning(opcua):
            await operational(client)
            kinds = (JOB_STARTED, ACQUISITION_DONE, RESULT_READY, READY, STATE_CHANGED)
            listener = await listening(client, *kinds)
            before = marked(11)
            job, error = await start(client, "StartSingleJob", part="P1")
            assert (error, opcua.requests) == (0, [Part("P1")])
            opcua.outlet.put(before)
            opcua.outlet.put(marked(12))
            opcua.outlet.put(marked(13))
            await listener.until(lambda events: len(events) >= 6, "the job's result")
            kinds = [event.EventType.Identifier for event in listener.events]
            assert kinds == [STATE_CHANGED, JOB_STARTED, ACQUISITION_DONE, RESULT_READY, STATE_CHANGED, READY]
            result = listener.events[3]
            assert (result.ResultId.Id, result.JobId.Id, result.MeasId.Id) == ("run1-12", job.Id, "M")
            _, _, _, found, _ = await listed(client)
            assert [one.ResultId.Id for one in found] == ["run1-12"], "what is no job's is not reported"
            assert opcua.counts["of_no_job"] == 2

    asyncio.run(drive())


def test_a_recipe_is_ready_when_the_station_says_so(opcua: Driven) -> None:
    async def drive() -> None:
        async with connected(opcua.url) as client, turning(opcua):
            await operational(client)
            listener = await listening(client, RECIPE_PREPARED)
            assert (await prepare(client, "7"))[2] == 0
            await listener.until(bool, "the recipe")
            event = listener.events[0]
            assert (event.ExternalId.Id, event.InternalId.Id) == ("7", "wide")
            assert opcua.requests == [Recipe("wide")]
            assert await value(client, "Live.ActiveRecipe") == "wide"
            page = [ua.Variant(number, ua.VariantType.UInt32) for number in (0, 0)]
            empty = (ua.RecipeIdExternalDataType(), ua.ProductIdDataType())
            for prepared, names in ((0, ["default"]), (1, ["wide"]), (2, ["default", "wide"])):
                found = await call(client, "RecipeManagement.GetRecipeListFiltered", *empty, prepared, *page, 0)
                assert ([one.Id for one in found[3]], found[4]) == (names, 0)
            assert (await prepare(client, "default", "UnprepareRecipe"))[1] == 0
            assert opcua.requests[1:] == [Unprepare("default")]

    asyncio.run(drive())


def test_a_station_that_refuses_or_is_silent_is_an_error_of_the_call(opcua: Driven) -> None:
    async def drive() -> None:
        async with connected(opcua.url) as client:
            async with turning(opcua, refusal="the model is missing"):
                await operational(client)
                assert (await prepare(client, "wide"))[1:] == [False, -3]
                assert (await start(client, "StartSingleJob", part="P1"))[1] == -3
            listener = await listening(client, WARNING)
            assert (await prepare(client, "wide"))[1:] == [False, -4]
            assert await value(client, f"{AUTOMATIC}.CurrentState") == "Ready"
            async with turning(opcua, refusal="another model is on its way"):
                await listener.until(lambda events: len(events) == 2, "the refusal that came too late")
            assert {event.Message.Text for event in listener.events} == {
                "refused, too late for its client: another model is on its way"
            }

    asyncio.run(drive())


def test_simulated_results_say_so(opcua: Driven) -> None:
    async def drive() -> None:
        async with connected(opcua.url) as client, turning(opcua):
            await operational(client)
            assert await call(client, f"{AUTOMATIC}.SimulationMode", True, 0, "commissioning") == 0
            listener = await listening(client, RESULT_READY)
            await start(client, "StartContinuous")
            opcua.outlet.put(marked(21))
            await listener.until(bool, "the result")
            assert listener.events[0].IsSimulated is True
            assert await call(client, f"{AUTOMATIC}.SimulationMode", False, 0, "") == -1, "not while it executes"

    asyncio.run(drive())


def test_a_server_that_is_opened_again_shows_nothing_twice(folder: Path) -> None:
    with driven(folder) as one:
        one.put(marked(1), marked(2), done=2)
        one.outlet.close()
        one.outlet.open()
        one.put(marked(1), marked(2), marked(3), done=3)
        assert one.counts == {"reported": 1}


def test_clients_that_come_go_and_vanish_leave_nothing(folder: Path) -> None:
    async def come(one: Driven) -> None:
        async with connected(one.url) as client:
            await listening(client, RESULT_READY)

    async def vanish(one: Driven) -> None:
        client = Client(one.url)
        await client.connect()
        await listening(client, RESULT_READY)
        client.uaclient.protocol.transport.abort()

    with driven(folder, {"max_clients": 2}) as one:
        one.turn()
        threads = threading.active_count()
        for number in range(12):
            asyncio.run(vanish(one) if number % 3 == 0 else come(one))
        one.put(marked(1), done=1)
        assert threading.active_count() == threads


def test_a_taken_port_is_a_lost_peer_that_may_come_back(plain: Driven, folder: Path) -> None:
    settings, config = opcua_config(folder, {"port": plain.outlet.port})
    second = OpcUaOutlet("ua", settings, config)
    with pytest.raises(PeerLost, match="can't listen at 127"):
        second.open()
    with pytest.raises(PeerLost, match="closed"):
        second.put(marked(1))
    second.close()


def test_the_example_prints_results_with_their_defects(plain: Driven) -> None:
    words = [sys.executable, "-u", str(EXAMPLE), plain.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, bufsize=0) as program:
        assert program.stdout is not None
        try:
            number = 8000
            os.set_blocking(program.stdout.fileno(), False)
            printed = b""
            while b"scratch 0.51 at [1, 2, 3, 4] found by shadow" not in printed:
                number += 1
                plain.put(marked(number), done=number)
                printed += program.stdout.read() or b""
                assert program.poll() is None
            assert b"reject scratch" in printed
        finally:
            program.terminate()
    plain.turn()


def test_a_gateway_without_a_station_says_so_and_ends_at_once(tmp_path: Path) -> None:
    port = _free_port()
    (tmp_path / "config.toml").write_text(CONFIG.format(port=port))
    words = [sys.executable, "-m", "station", "gateway", "ua", "-c", str(tmp_path / "config.toml")]

    async def look() -> list[Any]:
        async with connected(f"opc.tcp://127.0.0.1:{port}/shadowline") as client:
            found = [await value(client, f"Live.{name}") for name in ("LineOnline", "Reject")]
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 60)
            return found

    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "peer is online" in line or process.poll() is not None)
            assert "peer is online" in line
            with suppress(ConnectionError):  # the client's good-bye
                assert asyncio.run(look()) == [False, True]
            assert process.returncode == 0
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_a_product_without_its_recipe_ends_the_start(folder: Path) -> None:
    settings, config = opcua_config(folder, {"products": {"sheet": "wide"}})
    with pytest.raises(ConfigError, match=r"\[gateway.ua\] products.sheet: no \[recipe.wide\]"):
        OpcUaOutlet("ua", settings, config)
