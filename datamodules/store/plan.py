"""A preparation before it begins: the source scanned, and what the options of the recipe left open resolved."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from datamodules.entries import Catalogue, Entry, Scan
from datamodules.errors import DataError, LackingError
from datamodules.reading.stand_in import is_stand_in
from datamodules.recipe import Recipe
from datamodules.sinks.base import StoreSink
from datamodules.views.base import EntryView, MediaView, View

MISSING = "missing"  # column of the index where some views can do without their medium


@dataclass(frozen=True)
class Plan:
    """A preparation, with everything resolved that can be before the first file is decoded."""

    catalogue: Catalogue
    recipe: Recipe
    source: Path
    out: Path
    scan: Scan
    synthetic: bool

    @property
    def folder(self) -> Path:
        """Folder of the store."""
        own = self.recipe.name == self.catalogue.recipe
        return self.recipe.sink.folder(self.out, "prepared" if own else f"prepared-{self.recipe.name}", self.arrays)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that the store is keyed by, without the folders of sources."""
        options = {name: value for name, value in asdict(self.catalogue).items() if not isinstance(value, Path | None)}  # type: ignore[call-overload]
        views = self.recipe.views
        optional = [name for name in views if name in self.recipe.optional]
        return {
            "catalogue": {"name": self.catalogue.name, **options, **self.scan.facts},
            "recipe": self.recipe.name,
            "views": {
                name: {"view": type(view).__module__.rpartition(".")[2], **view.settings()}
                for name, view in views.items()
            },
            **({"optional": optional} if optional else {}),
            "sink": self.recipe.sink.settings(),
        }

    @property
    def arrays(self) -> dict[str, str]:
        """Dtype of every array, those that a view wants last behind all others."""
        views = self.recipe.views
        arrays = {name: dtype for view in views for name, dtype in views[view].arrays(view).items()}
        last = {name for view in views.values() for name in view.last}
        return {name: arrays[name] for name in sorted(arrays, key=last.__contains__)}

    @property
    def columns(self) -> tuple[str, ...]:
        """Further columns of the index."""
        views = [(name, view) for name, view in self.recipe.views.items() if isinstance(view, MediaView)]
        spared = any(name in self.recipe.optional or not view.required for name, view in views)
        return (*self.catalogue.columns, *self.scan.columns, *([MISSING] if spared else []))


def plan(catalogue: Catalogue, recipe: Recipe, source: Path, out: Path | None = None) -> Plan:
    """Scan a source and resolve what the options of a recipe left open.

    Raises:
        DataError: The source or an option is wrong.
    """
    if not source.is_dir():
        what = "a file, not a folder" if source.exists() else "no such folder"
        raise DataError(f"--source {source}: {what}; {catalogue.origin}.")
    recipe.check()
    for name, view in recipe.views.items():
        view.check(f"--views.{name}")
    synthetic = is_stand_in(source, catalogue.name)
    scan = catalogue.scan(source)
    scan = replace(scan, classes=tuple(scan.facts.get("classes") or catalogue.classes))
    if not any(view.of_parts for view in recipe.views.values()):
        scan = scan.replaced(Entry.labelled_turn)
    views, scan = ({}, scan) if scan.fault else _bound(catalogue, recipe, source, scan)
    out = out or Path("data", *(["synthetic"] if synthetic else []), catalogue.name)
    sink = recipe.sink if recipe.sink.holds(catalogue) else StoreSink()
    return Plan(catalogue, replace(recipe, views=views, sink=sink), source, out, scan, synthetic)


def _bound(catalogue: Catalogue, recipe: Recipe, source: Path, scan: Scan) -> tuple[dict[str, View], Scan]:
    """Return the views as resolved, without those for which the source has nothing, and the entries for them."""
    lacking = {name: medium for name, view in recipe.views.items() if (medium := view.lacking(scan))}
    if lacking and all(name in lacking or isinstance(view, EntryView) for name, view in recipe.views.items()):
        name, medium = next(iter(lacking.items()))
        raise DataError(
            f"--recipe {recipe.name}: {name} is made of {medium}, which no {catalogue.unit} of {source} has; name "
            "another recipe"
        )
    views: dict[str, View] = {}
    for name, view in recipe.views.items():
        if name in lacking:
            continue
        try:
            bound, scan = view.bind(f"--views.{name}", scan, source)
        except LackingError as error:
            if name not in recipe.optional:
                raise
            print(f"  {name} is left out: {error}")
        else:
            views |= {name: bound} if bound is not None else {}
    return views, scan
