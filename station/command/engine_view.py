"""How plans, passports and comparisons are shown in a terminal. Main thread."""

from rich.console import Console
from rich.table import Table

from engines.finder_card import FinderCard
from engines.flavour import find_flavour
from engines.frame_parity import FrameParity
from engines.gpu import find_gpu
from engines.onnx_file import onnx_runtime_version
from engines.parity import Parity
from engines.plan import ANY, Plan, PlanKey
from shadowline.errors import StationError
from station.sample_crops import Crops

__all__ = ["machine", "outdated", "show_parity", "show_plan", "unfit"]

_MAX_LISTED = 20


def unfit(plan: Plan) -> str:
    """Return why the plan can't run on this computer; empty when it can."""
    key = plan.passport.key
    if key.runtime == "onnx_runtime":
        return "; ".join(key.differences(key.model_copy(update={"version": onnx_runtime_version()})))
    try:
        flavour, version = find_flavour()
        gpu = find_gpu()
    except StationError as fault:
        return str(fault)
    here = {"runtime": flavour, "version": version, "driver": gpu.driver, "gpu": gpu.name, "capability": gpu.capability}
    return "; ".join(key.differences(key.model_copy(update=here)))


def outdated(plan: Plan) -> str:
    """Return why nothing here will run the plan again; empty where it may, or where that can't be known."""
    key = plan.passport.key
    if key.runtime != "onnx_runtime":
        try:
            find_gpu()
        except StationError:
            return ""
    return "" if key.gpu == ANY else unfit(plan)


def machine(key: PlanKey) -> str:
    """Return in words what a plan runs on."""
    if key.runtime == "onnx_runtime":
        return f"ONNX Runtime {key.version}"
    gpu = f"any GPU of {key.capability}" if key.gpu == ANY else f"{key.gpu} ({key.capability}), driver {key.driver}"
    return f"{key.runtime} {key.version}, {gpu}"


def show_plan(plan: Plan) -> None:
    """Print a plan's passport."""
    passport, key = plan.passport, plan.passport.key
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    profile = key.profile
    table.add_row("plan", str(plan.folder))
    is_finder = isinstance(passport.card, FinderCard)
    what = "frames" if is_finder else "crops"
    table.add_row(
        "finder" if is_finder else "model", f"{passport.card.name}, {passport.source}, {key.model_sha256[:12]}"
    )
    ranges = f", ranges of {what} {key.calibration_sha256[:12]}" if key.calibration_sha256 else ""
    table.add_row("precision", key.precision + ranges)
    table.add_row("runs on", machine(key))
    size = "" if key.input_px is None else ", frames of {1}×{0}".format(*key.input_px)
    table.add_row("batches", f"{profile.min_batch} to {profile.max_batch}, best at {profile.opt_batch}{size}")
    table.add_row("built", f"{passport.built} in {passport.build_s:.1f} s by {passport.built_by}")
    table.add_row("file", f"{plan.engine.name}, {passport.engine_bytes:,} bytes, {passport.engine_sha256[:12]}")
    table.add_row("here", unfit(plan) or "fits this computer")
    console.print(table)
    if passport.parity is not None:
        show_parity(passport.parity, None)


def show_parity(parity: Parity | FrameParity, crops: Crops | None) -> None:
    """Print a comparison, and which of `crops` changed their label."""
    if isinstance(parity, Parity):
        _show_flips(parity, crops)
    else:
        _show_changes(parity)


def _show_flips(parity: Parity, crops: Crops | None) -> None:
    console = Console(highlight=False)
    console.print(
        f"{parity.candidate} against {parity.reference} on {parity.crops} crops: largest error {parity.max_error:.4f}, "
        f"mean {parity.mean_error:.5f}, {parity.flips} labels flipped ({parity.flip_share:.2%})"
    )
    if parity.novelty_error is not None:
        console.print(f"largest error of a novelty {parity.novelty_error:.2%} of its limit")
    if parity.accuracy is not None:
        console.print(f"right {parity.accuracy[1]:.2%}, the reference {parity.accuracy[0]:.2%}")
    table = Table(box=None, pad_edge=False)
    for name in ("label", "crops", "flipped", "became"):
        table.add_column(name, justify="right" if name in ("crops", "flipped") else "left")
    for label, one in parity.labels.items():
        became = ", ".join(f"{count} {other}" for other, count in one.became.items())
        table.add_row(label, str(one.crops), str(one.flips), became)
    console.print(table)
    for batch, (before, after) in parity.us_per_crop.items():
        console.print(f"batch {batch:>3}: {after:7.1f} µs a crop, reference {before:7.1f}: {before / after:.2f} ×")
    if crops is not None and parity.flipped:
        names = [crops.names[row] for row in parity.flipped[:_MAX_LISTED]]
        more = parity.flips - len(names)
        console.print("flipped: " + ", ".join(names) + (f" and {more} more" if more else ""))


def _show_changes(parity: FrameParity) -> None:
    before, after = parity.us_per_frame
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{parity.candidate} against {parity.reference} on {parity.frames} frames: largest error "
        f"{parity.max_error:.4f}, mean {parity.mean_error:.5f}; of {parity.found} cells or boxes over the threshold "
        f"{parity.changed} are found by one of the two only ({parity.change_share:.2%})"
    )
    console.print(f"{after:.0f} µs a frame, reference {before:.0f}: {before / after:.2f} ×")
