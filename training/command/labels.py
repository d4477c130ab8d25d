"""`station train cluster, grow, rank`: from unlabelled pictures to a training set, with as few labels as it takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from shadowline.errors import ConfigError
from training.command.common import AsJson, console, need_training
from training.recipe import Recipe, make_recipe

if TYPE_CHECKING:
    from training.pool import Pool

__all__ = ["cluster", "grow", "mount", "rank"]

_Unlabelled: TypeAlias = Annotated[Path, typer.Argument(help="Folder of pictures, at any depth.")]
_Run: TypeAlias = Annotated[Path | None, typer.Option(help="Compare pictures by this run's network.")]
_Network: TypeAlias = Annotated[str | None, typer.Option(help="Compare pictures by this backbone.")]
_Weights: TypeAlias = Annotated[str | None, typer.Option(help="The backbone's weights: a file, hub or package.")]
_Stages: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Take the backbone's first stages only.")]


def mount(app: typer.Typer) -> None:
    """Add these commands to the group."""
    for command in (cluster, grow, rank):
        app.command(command.__name__)(command)


def cluster(
    unlabelled: _Unlabelled,
    out: Annotated[Path, typer.Argument(help="New folder: one folder a cluster, to be named, and sheets.")],
    count: Annotated[int | None, typer.Option(min=2, help="Clusters [default: what fits the pictures].")] = None,
    run: _Run = None,
    network: _Network = None,
    weights: _Weights = None,
    stages: _Stages = None,
) -> None:
    """Group unlabelled pictures by likeness: name the folders and you have a training set."""
    need_training()
    from training.cluster import cluster as make_clusters
    from training.cluster import write_clusters
    from training.embedding import condense
    from training.pool import embed_pool, open_embedder

    recipe, pool = _embedding(network, weights, stages), _read(unlabelled)
    features = condense(embed_pool(open_embedder(recipe, run), pool.images, recipe.crop))
    clusters = make_clusters(features, count)
    write_clusters(pool.images, pool.paths, clusters, out)
    _say(
        f"{out}: {len(pool.paths)} pictures in {len(clusters.order)} clusters; see {out / 'overview.png'}, give the "
        f"folders in {out / 'pictures'} class names, then: station train fit {out / 'pictures'}"
    )


def grow(
    labelled: Annotated[Path, typer.Argument(help="Folder with one folder a class, a picture or more in each.")],
    unlabelled: _Unlabelled,
    out: Annotated[Path, typer.Argument(help="New folder-per-class tree.")],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="How much of the unlabelled to take.")] = 0.9,
    run: _Run = None,
    network: _Network = None,
    weights: _Weights = None,
    stages: _Stages = None,
) -> None:
    """Give unlabelled pictures the labels of those they are like, and leave the least sure ones aside."""
    need_training()
    from training.data import read_tree
    from training.grow import UNSURE
    from training.grow import grow as grow_tree
    from training.pool import open_embedder

    recipe, tree, pool = _embedding(network, weights, stages), read_tree(labelled), _read(unlabelled)
    growth = grow_tree(tree, pool, open_embedder(recipe, run), recipe.crop, out, share)
    counts = (f"{label} {int((growth.classes[growth.taken] == n).sum())}" for n, label in enumerate(growth.labels))
    _say(
        f"{out}: {len(tree.paths)} labelled pictures and {int(growth.taken.sum())} new ones ({', '.join(counts)}); "
        f"{int((~growth.taken).sum())} unsure ones in {out / UNSURE}; look through the folders, "
        f"then: station train fit {out}"
    )


def rank(
    model: Annotated[Path, typer.Argument(help="Run folder of the network so far.")],
    unlabelled: _Unlabelled,
    data: Annotated[Path, typer.Option(help="The folder of pictures that it was fitted on.")],
    count: Annotated[int, typer.Option(min=1, help="How many to name.")] = 50,
    sheet: Annotated[Path | None, typer.Option(help="Also draw them on a sheet (PNG).")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which unlabelled pictures to label next: those that the network doubts and that are unlike all others."""
    need_training()
    import json

    from training.next_labels import next_labels
    from training.runs import load_run

    pool = _read(unlabelled)
    found = next_labels(load_run(model), data, pool, min(count, len(pool.paths)), sheet)
    if as_json:
        typer.echo(json.dumps([{"picture": str(path), "label": label} for path, label in found]))
    else:
        typer.echo("\n".join(f"{path}\t{label}?" for path, label in found))


def _embedding(network: str | None, weights: str | None, stages: int | None) -> Recipe:
    if (network is None) != (weights is None):
        raise ConfigError("--network and --weights go together")
    return make_recipe(None, network=network, weights=weights, stages=stages)


def _read(folder: Path) -> "Pool":
    from training.pool import read_pool

    pool = read_pool(folder)
    for path, reason in pool.skipped.items():
        typer.echo(f"skipped {path}: {reason}", err=True)
    return pool


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
