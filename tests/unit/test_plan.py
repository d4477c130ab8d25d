"""The plan cache never hands out a wrong, half or damaged plan, whoever else uses it and whatever the disk does."""

import fcntl
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engines import CropCut, ModelCard
from engines.plan import ANY, Passport, Plan, PlanKey, Profile, file_sha256
from engines.plan_cache import PlanCache, default_cache
from shadowline.errors import EngineError, EngineMismatch

ROOT = Path(__file__).parents[2]
KEY = PlanKey(
    model_sha256="a" * 64,
    precision="int8",
    calibration_sha256="b" * 64,
    runtime="tensorrt_rtx",
    version="1.7.1.116",
    driver="580.65",
    gpu="NVIDIA L4",
    capability="8.9",
)
CARD = ModelCard(name="small", labels=("good", "bad"), crop=CropCut(size_px=64, context=1.5, min_side_px=64))
ENGINE = b"the compiled network" * 50


def passport_of(key: PlanKey, engine: bytes = ENGINE, built: str = "2026-11-21T10:00:00+00:00") -> Passport:
    return Passport(
        key=key,
        card=CARD,
        engine_sha256=hashlib.sha256(engine).hexdigest(),
        engine_bytes=len(engine),
        source="small.onnx",
        shadowline="1",
        built=built,
        built_by="someone@plant",
        build_s=1.5,
    )


def add(cache: PlanCache, key: PlanKey = KEY, built: str = "2026-11-21T10:00:00+00:00") -> Plan:
    with cache.adding(key) as folder:
        (folder / "model.onnx").write_bytes(b"model")
        (folder / "engine.plan").write_bytes(ENGINE)
        Plan.write(folder, passport_of(key, built=built))
    return cache.find(key)


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


OTHER_KEY = KEY.model_copy(update={"driver": "590.01"})
OTHER: dict[str, object] = {
    "model_sha256": "c" * 64,
    "precision": "fp16",
    "calibration_sha256": "",
    "runtime": "tensorrt",
    "version": "1.8.0.1",
    "driver": "590.01",
    "gpu": "NVIDIA A2",
    "capability": "8.6",
    "profile": Profile(max_batch=64),
    "input_px": (256, 512),
}


def test_every_field_of_a_key_has_its_case() -> None:
    assert OTHER.keys() == PlanKey.model_fields.keys()


@pytest.mark.parametrize("field", OTHER)
def test_a_plan_of_another_key_is_refused_and_the_field_named_with_both_values(cache: PlanCache, field: str) -> None:
    plan = add(cache)
    wanted = KEY.model_copy(update={field: OTHER[field]})
    with pytest.raises(EngineMismatch) as refused:
        cache.find(wanted)
    have, want = getattr(KEY, field), getattr(wanted, field)
    assert str(refused.value) == f"{plan.folder}: not the plan for this station: {field} is {have}, must be {want}"
    assert wanted.digest != KEY.digest


def test_the_nearest_plan_is_the_one_that_is_explained(cache: PlanCache) -> None:
    add(cache, KEY.model_copy(update={"driver": "1", "gpu": "2", "version": "3"}), "2026-11-21T12:00:00+00:00")
    near = add(cache)
    with pytest.raises(
        EngineMismatch, match=r"driver is 580\.65, must be .*; capability is 8\.9, must be 9\.0$"
    ) as one:
        cache.find(KEY.model_copy(update={"driver": "590.01", "capability": "9.0"}))
    assert str(near.folder) in str(one.value)


def test_a_plan_for_any_machine_fits_every_machine_of_its_capability(cache: PlanCache) -> None:
    anywhere = KEY.model_copy(update={"driver": ANY, "gpu": ANY})
    add(cache, anywhere)
    assert cache.find(KEY).passport.key == anywhere
    with pytest.raises(EngineMismatch, match=r"capability is 8\.9, must be 8\.6$"):
        cache.find(KEY.model_copy(update={"capability": "8.6"}))


def test_who_takes_any_calibration_gets_what_is_there(cache: PlanCache) -> None:
    plan = add(cache)
    assert cache.find(KEY.model_copy(update={"calibration_sha256": ANY})).folder == plan.folder


def test_who_takes_any_profile_and_size_gets_what_is_there(cache: PlanCache) -> None:
    plan = add(cache, KEY.model_copy(update={"input_px": (256, 512), "profile": Profile(max_batch=64)}))
    assert cache.find(KEY, but={"profile", "input_px"}).folder == plan.folder
    with pytest.raises(EngineMismatch, match="profile is 1/8/64, must be"):
        cache.find(KEY, but={"input_px"})


def test_a_key_without_a_size_of_frames_keeps_the_folder_that_it_had_before_there_were_any() -> None:
    before = KEY.model_dump_json(exclude={"input_px"})
    assert KEY.digest == hashlib.sha256(before.encode()).hexdigest()[:24]


def test_the_oldest_plans_give_way(cache: PlanCache) -> None:
    old, middle, new = (
        add(cache, KEY.model_copy(update={"driver": str(day)}), f"2026-11-2{day}T10:00:00+00:00") for day in (1, 2, 3)
    )
    cache.trim(2, spare=old)
    assert [plan.folder for plan in cache.plans()] == [new.folder, middle.folder, old.folder]
    cache.trim(2, spare=new)
    assert [plan.folder for plan in cache.plans()] == [new.folder, middle.folder]


def test_an_empty_cache_says_how_a_plan_is_made(cache: PlanCache) -> None:
    assert cache.plans() == []
    assert cache.damaged() == {}
    with pytest.raises(EngineMismatch, match=r"no plan has been built: station engine build MODEL\.onnx"):
        cache.find(KEY)


def test_plans_are_listed_newest_first(cache: PlanCache) -> None:
    days = {day: KEY.model_copy(update={"driver": day}) for day in ("02", "03", "01")}
    for day, key in days.items():
        add(cache, key, f"2026-11-{day}T00:00:00+00:00")
    assert [plan.passport.key.driver for plan in cache.plans()] == ["03", "02", "01"]


def test_a_passport_comes_back_as_it_was_written(cache: PlanCache) -> None:
    plan = add(cache)
    assert Plan.read(plan.folder) == plan
    assert plan.passport == passport_of(KEY)
    assert json.loads((plan.folder / "passport.json").read_text())["key"]["gpu"] == "NVIDIA L4"
    assert plan.read_engine() == ENGINE


def test_the_file_that_runs_is_the_model_where_there_is_no_plan(cache: PlanCache) -> None:
    key = KEY.model_copy(update={"runtime": "onnx_runtime"})
    assert Plan(cache.folder, passport_of(key)).engine == cache.folder / "model.onnx"
    assert Plan(cache.folder, passport_of(KEY)).engine == cache.folder / "engine.plan"


@pytest.mark.parametrize("batches", [(8, 4, 32), (1, 64, 32), (0, 1, 1), (1, 1, 257)])
def test_a_profile_out_of_order_or_bounds_is_refused(batches: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="batch"):
        Profile(min_batch=batches[0], opt_batch=batches[1], max_batch=batches[2])


def flip(content: bytes) -> bytes:
    return content[:100] + bytes([content[100] ^ 1]) + content[101:]


DAMAGES = {
    "engine cut off": ("engine.plan", lambda content: content[:-1], "999 bytes, its passport says 1000: build it"),
    "engine empty": ("engine.plan", lambda content: b"", "0 bytes, its passport says 1000: build it again"),
    "engine with one bit flipped": ("engine.plan", flip, "not the bytes that its passport names: damaged; build it"),
    "no engine": ("engine.plan", None, "can't read the plan: No such file or directory"),
    "no passport": ("passport.json", None, "no plan: can't read passport.json: No such file"),
    "passport empty": ("passport.json", lambda content: b"", "its passport can't be read: passport.json: Invalid JSON"),
    "passport cut off": ("passport.json", lambda content: content[:200], "can't be read: passport.json: Invalid JSON"),
    "passport of another schema": (
        "passport.json",
        lambda content: content.replace(b'"schema_version": 1', b'"schema_version": 2', 1),
        "its passport can't be read: schema_version: Input should be 1",
    ),
    "passport with another field": (
        "passport.json",
        lambda content: content.replace(b'"source"', b'"origin"'),
        "its passport can't be read: source: Field required",
    ),
    "passport of no text": ("passport.json", lambda content: b"\xff\xfe\x00", "passport.json: Invalid JSON"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_plan_is_never_read_and_is_listed_with_the_reason(cache: PlanCache, case: str) -> None:
    name, damage, words = DAMAGES[case]
    plan = add(cache)
    path = plan.folder / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EngineError) as refused:
        Plan.read(plan.folder).read_engine()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert cache.damaged() == {plan.folder: str(refused.value)}
    assert len(cache.plans()) == (name == "engine.plan")
    cache.remove(plan.folder)
    assert cache.damaged() == {}


def test_a_damaged_plan_gives_way_to_a_new_one(cache: PlanCache) -> None:
    plan = add(cache)
    plan.engine.write_bytes(b"")
    assert add(cache).read_engine() == ENGINE


def test_what_is_no_plan_is_left_alone(cache: PlanCache) -> None:
    stranger = cache.folder / "photographs"
    stranger.mkdir(parents=True)
    assert cache.damaged() == {}
    assert cache.plans() == []


def refuse_after(step: Callable[[], object]) -> None:
    step()
    raise EngineError("refused")


def test_a_build_that_fails_leaves_nothing(cache: PlanCache) -> None:
    with pytest.raises(EngineError, match="refused"), cache.adding(KEY) as folder:
        refuse_after(lambda: Plan.write(folder, passport_of(KEY)))
    assert [path for path in cache.folder.iterdir() if path.is_dir()] == []
    with cache.adding(KEY) as folder:
        assert list(folder.iterdir()) == []


ADDER = """
import sys
from pathlib import Path
from engines.plan import Plan
from engines.plan_cache import PlanCache
from tests.unit.test_plan import ENGINE, KEY, passport_of

cache = PlanCache(Path(sys.argv[1]))
print("waiting", flush=True)
with cache.adding(KEY) as folder:
    found = cache.plans()
    if not found:
        (folder / "engine.plan").write_bytes(ENGINE)
    print("found" if found else "building", flush=True)
    if not found:
        sys.stdin.readline()
        Plan.write(folder, passport_of(KEY))
print("done", flush=True)
"""


@contextmanager
def another_process(cache: PlanCache) -> Iterator[subprocess.Popen[str]]:
    """A process that adds `KEY`, and ends it once a line comes in."""
    words = [sys.executable, "-c", ADDER, str(cache.folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        try:
            yield process
        finally:
            process.kill()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_two_processes_one_builds_and_the_other_gets_that_plan(cache: PlanCache) -> None:
    with another_process(cache) as first:
        assert hear(first) == "building"
        with another_process(cache) as second:
            with (cache.folder / ".lock").open() as lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert cache.plans() == []
            first.communicate("go on\n")
            made = cache.find(KEY).engine.stat()
            assert hear(second) == "found"
            assert hear(second) == "done"
    assert first.returncode == 0
    assert cache.find(KEY).engine.stat().st_mtime_ns == made.st_mtime_ns
    assert cache.find(KEY).engine.stat().st_ino == made.st_ino
    assert cache.damaged() == {}


def test_what_a_killed_build_left_is_told_from_one_at_work(cache: PlanCache) -> None:
    with another_process(cache) as process:
        assert hear(process) == "building"
        assert cache.damaged() == {}
        process.kill()
        process.communicate()
    ((left, why),) = cache.damaged().items()
    assert why == "left over from a build that did not end"
    cache.remove(left)
    assert cache.damaged() == {}
    assert not left.exists()


def test_the_next_build_of_a_killed_one_clears_up_after_it(cache: PlanCache) -> None:
    with another_process(cache) as process:
        assert hear(process) == "building"
        process.kill()
        process.communicate()
    plan = add(cache)
    assert [path for path in cache.folder.iterdir() if path.is_dir()] == [plan.folder]


def test_a_cache_below_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = PlanCache(tmp_path / "file" / "plans")
    for call in (lambda: add(cache), cache.plans, cache.damaged):
        with pytest.raises(EngineError, match=r"can't (write to|read) the plan cache: Not a directory"):
            call()


def test_a_cache_that_can_not_be_made_is_one_clear_line() -> None:
    with pytest.raises(EngineError, match=r"^/proc/plans: can't write to the plan cache: No such file"):
        add(PlanCache(Path("/proc/plans")))


def in_child(code: str, cache: PlanCache, *before: str) -> str:
    """Run `code` with `cache` and what this module has, in a process of its own, and return what it printed."""
    head = "import resource, sys\nfrom engines.plan import *\nfrom tests.unit.test_plan import *\n"
    head += f"cache = PlanCache(Path({str(cache.folder)!r}))\n"
    done = subprocess.run(
        [*before, sys.executable, "-c", head + code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TRY_TO_ADD = """
try:
    add(cache)
except EngineError as fault:
    print(fault)
"""


def test_a_disk_that_fills_up_is_one_clear_line_and_leaves_nothing(cache: PlanCache) -> None:
    limit = "sys.dont_write_bytecode = True\nresource.setrlimit(resource.RLIMIT_FSIZE, (len(ENGINE) // 2,) * 2)\n"
    said = in_child(limit + TRY_TO_ADD, cache)
    assert said == f"{cache.folder}: can't write to the plan cache: File too large\n"
    assert [path for path in cache.folder.iterdir() if path.is_dir()] == []


def another_user() -> list[str]:
    """The words before a command that make it another user's, for whom this cache is read-only."""
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    try:
        subprocess.run([*words, sys.executable, "-c", "import numpy"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user can't become another one that has this Python")
    return words


def test_a_read_only_cache_is_read_and_never_written(cache: PlanCache) -> None:
    before = another_user()
    with another_process(cache) as process:
        assert hear(process) == "building"
    add(cache, OTHER_KEY)
    for folder in (cache.folder, *cache.folder.parents[:4]):
        folder.chmod(0o755)
    assert in_child("print(cache.find(OTHER_KEY).read_engine() == ENGINE, cache.damaged())", cache, *before) == (
        "True {}\n"
    )
    said = in_child(TRY_TO_ADD, cache, *before)
    assert said == f"{cache.folder}: can't write to the plan cache: Permission denied\n"


def test_the_cache_is_the_service_s_else_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path}/service:/other")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert default_cache() == tmp_path / "service" / "plans"
    monkeypatch.delenv("CACHE_DIRECTORY")
    assert default_cache() == tmp_path / "user" / "shadowline" / "plans"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "shadowline" / "plans"


def test_the_hash_of_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"model")
    assert file_sha256(tmp_path / "model.onnx") == hashlib.sha256(b"model").hexdigest()
    with pytest.raises(EngineError, match=r"none\.onnx: can't read the model file: No such file"):
        file_sha256(tmp_path / "none.onnx")
