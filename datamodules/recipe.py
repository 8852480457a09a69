"""A recipe: the views of every entry, by the name of their arrays, and their sink; one per ``recipes/<name>.yaml``."""

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from datamodules.entries import Catalogue
from datamodules.errors import DataError
from datamodules.sinks.base import StoreSink
from datamodules.views.base import View

HERE = Path(__file__).parent
RECIPES = HERE / "recipes"


@dataclass(frozen=True)
class Recipe:
    """The views of every entry and their sink.

    Attributes:
        name: Of its file.
        views: By the name of their arrays, in order.
        sink: Where the arrays go.
        optional: Views that an entry may go without: its arrays of them are empty, and ``missing.csv`` says why.
    """

    name: str
    views: dict[str, View]
    sink: StoreSink = field(default_factory=StoreSink)
    optional: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse optional views that it does not have."""
        if unknown := sorted(set(self.optional) - set(self.views)):
            raise DataError(
                f"--optional {unknown[0]}: {self.name} has no such view; its views are {', '.join(self.views)}"
            )


@dataclass(frozen=True)
class Defaults:
    """A recipe as its file has it, without any option.

    Attributes:
        views: Class and options of every view by name.
        sink: Class of the sink.
        sink_options: Of the sink.
        optional: Views that an entry may go without.
    """

    views: dict[str, tuple[type, dict[str, Any]]]
    sink: type
    sink_options: dict[str, Any]
    optional: tuple[str, ...]


def names(folder: str) -> list[str]:
    """Return the names of ``catalogues``, ``views`` or ``recipes``: those of their files and folders."""
    found = [path for path in (HERE / folder).glob("[!_.]*") if path.suffix in ("", ".py", ".yaml")]
    return sorted({path.stem for path in found} - {"base"})


def keeping(view: str) -> list[str]:
    """Return the names of the recipes that keep what a view makes, that of most views last."""
    contents = {name: read(name)["views"] for name in names("recipes")}
    found = [name for name, views in contents.items() if any(options["view"] == view for options in views.values())]
    return sorted(found, key=lambda name: len(contents[name]))


def class_of(folder: str, name: str, base: type) -> Any:
    """Return the class that a file of ``catalogues``, ``views`` or ``sinks`` defines."""
    if name not in names(folder):
        raise DataError(f"{name!r} is none of the {folder}: {', '.join(names(folder))}")
    inner = ".catalogue" if (HERE / folder / name).is_dir() else ""  # a corpus that is easier to find as one folder
    module = importlib.import_module(f"datamodules.{folder}.{name}{inner}")
    own = [
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, base) and is_dataclass(found)
        if found.__module__ == module.__name__
    ]
    assert len(own) == 1, f"{module.__name__} defines {len(own)} of what it is named after"
    return own[0]


def catalogue_class(name: str) -> type[Catalogue]:
    """Return the catalogue of a corpus by its name."""
    found: type[Catalogue] = class_of("catalogues", name, Catalogue)
    return found


def read(name: str) -> dict[str, Any]:
    """Return the content of a recipe's file."""
    if name not in names("recipes"):
        raise DataError(f"--recipe {name}: the recipes are {', '.join(names('recipes'))}")
    content: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def defaults(name: str, *, synthetic: bool, catalogue: type[Catalogue] | None = None) -> Defaults:
    """Return the recipe of a file, without any option.

    Args:
        name: Of the recipe.
        synthetic: Whether the source is a stand-in, of which less is kept.
        catalogue: What the recipe is of; its paper's corpus where not given.
    """
    content = read(name)
    smaller = content.get("synthetic", {}) if synthetic else {}
    own = catalogue is None or catalogue.name == content.get("corpus")
    elsewhere = {} if own else content.get("elsewhere", {})
    views: dict[str, tuple[type, dict[str, Any]]] = {}
    for view, given in content["views"].items():
        options = {**given, **elsewhere.get(view, {}), **smaller.get(view, {})}
        views[view] = (class_of("views", options.pop("view"), View), options)
    sink = content.get("sink", "store")
    sink_class = StoreSink if sink == "store" else class_of("sinks", sink, StoreSink)
    optional = elsewhere.get("optional", content.get("optional", ()))
    return Defaults(views, sink_class, smaller.get("sink", {}), tuple(optional))


def load(
    name: str,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    synthetic: bool = False,
    catalogue: type[Catalogue] | None = None,
) -> Recipe:
    """Return a recipe with some of its options changed.

    Args:
        name: Of its file.
        changes: Options by view, and of the ``sink``.
        synthetic: Whether the source is a stand-in.
        catalogue: What it is of; its paper's corpus where not given.

    Raises:
        DataError: There is no such recipe, view or option.
    """
    found = defaults(name, synthetic=synthetic, catalogue=catalogue)
    changes = dict(changes or {})
    sink_options = {**found.sink_options, **changes.pop("sink", {})}
    if unknown := sorted(set(changes) - set(found.views)):
        raise DataError(f"--recipe {name}: it has no view {unknown[0]!r}; its views are {', '.join(found.views)}")
    try:
        built = {view: cls(**{**options, **changes.get(view, {})}) for view, (cls, options) in found.views.items()}
        return Recipe(name, built, found.sink(**sink_options), found.optional)
    except TypeError as error:
        raise DataError(f"--recipe {name}: {error}") from None


def restored(settings: Any, wanted: Collection[str]) -> Recipe:
    """Return the recipe in the settings of a store or a checkpoint of anybody, of the views that make some arrays.

    Args:
        settings: As a store was made by.
        wanted: Names of the arrays.

    Returns:
        The recipe; an entry may go without any of its views.

    Raises:
        DataError: They are no settings, or no view makes an array.
    """
    listed = settings.get("views") if isinstance(settings, Mapping) else None
    if not isinstance(listed, Mapping) or not all(isinstance(of, Mapping) for of in listed.values()):
        raise DataError("it does not say by what recipe its input was made")
    views: dict[str, View] = {}
    for name, of in listed.items():
        try:
            view: View = class_of("views", of.get("view", ""), View).restored(of)
            view.check(f"views.{name}")
        except (DataError, TypeError) as error:
            raise DataError(f"its recipe cannot be used, at the view {str(name)[:40]!r}: {error}") from None
        if set(view.arrays(name)) & set(wanted):
            views[name] = view
    made = {array for name, view in views.items() for array in view.arrays(name)}
    if absent := sorted(set(wanted) - made):
        raise DataError(f"its recipe makes no {absent[0]}, which it reads")
    return Recipe(str(settings.get("recipe", "")), views, optional=tuple(views))
