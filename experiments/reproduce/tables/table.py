"""A table of a paper (contract 6): which cells it has, and what was published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from datamodules.errors import DataError
from experiments.results.cell import Cell
from experiments.results.label_map import LabelMap
from experiments.settings.config import PROJECT, Config

CellKey = tuple[str, str, int, int]  # row, protocol, fold, seed
Cells = Mapping[CellKey, Cell]
Metric = Literal["accuracy", "uar"]
Protocol = Literal["paper", "honest"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
# Column of a table -> protocol and selection of contract 5.
COLUMNS = {"best": ("paper", "best"), "last": ("paper", "last"), "honest": ("honest", "selected")}


@dataclass(frozen=True)
class Row:
    """One row of a table: an experiment, how it differs, and what was published of it.

    Attributes:
        name: Directory name.
        label: What the table prints.
        experiment: Stem of the experiment's YAML.
        overrides: Options laid over the experiment.
        needs: Submodule -> row whose cell of the same fold, seed and protocol hands over its checkpoint.
        published: accuracy and uar (percent), parameters, n (clips of train / test), provenance, note.
        protocols: Under which of the table's it is run; all where not given.
        shown: Whether the table prints it; a row that is not is there for those that need it.
        corpus: That it reads, where it is not the table's.
        reads: Arrays that a store of clips must have for it, of a table over anybody's clips.
        one_set: Whether its model learns one set of classes and nothing else.
    """

    name: str
    label: str
    experiment: str
    overrides: dict = field(default_factory=dict)  # type: ignore[type-arg]
    needs: dict[str, str] = field(default_factory=dict)
    published: dict = field(default_factory=dict)  # type: ignore[type-arg]
    protocols: list[Protocol] | None = None
    shown: bool = True
    corpus: str = ""
    reads: list[str] = field(default_factory=list)
    one_set: bool = False

    def runs_under(self, protocol: str) -> bool:
        """Return whether it is run under a protocol of its table."""
        return self.protocols is None or protocol in self.protocols


@dataclass(frozen=True)
class Across:
    """Rows that stand once per corpus and are scored on all the others too.

    Attributes:
        corpora: Their names.
        models: Label by the name that a row has without its corpus.
        maps: Which class is which, of every two corpora.
    """

    corpora: tuple[str, ...]
    models: dict[str, str]
    maps: dict[frozenset[str], LabelMap]

    def place(self, row: str) -> tuple[str, str]:
        """Return the model and the corpus of a row."""
        return next((name, of) for name in self.models for of in self.corpora if row == f"{name}-{of}")

    def between(self, corpus: str, other: str) -> LabelMap:
        """Return which class of two corpora is which."""
        return self.maps[frozenset((corpus, other))]


@dataclass(frozen=True)
class Table:
    """A table, real or on the stand-in corpus.

    Attributes:
        name: Stem of the file.
        title: Heading.
        source: Paper, link, table number.
        corpus: Name of the corpus.
        rows: In the order they are printed.
        folds: Test folds.
        seeds: Seeds by protocol; its keys are the protocols.
        synthetic: Whether its cells run on the stand-in corpus.
        missing: Rates at which a modality is dropped from clips of the test fold, by modality.
        subsets: Modalities that clips of the test fold are left with, all others lost; of those in any subset.
        missing_rows: Rows that are evaluated under either.
        metric: What is printed and compared: ``accuracy`` or ``uar``, the unweighted average recall.
        unpublished: What stands where a row has no published figure.
        top3: Whether it shows how often the class is among the three most probable.
        real_features: Whether it is our measurement on real features, of which a stand-in says little: among several
            tables its stand-in is left out.
        across: Corpora that every row is trained on and scored on.
        make: Options of ``synth`` and ``prepare`` that make the stand-in, under these two names.
        own: Whether it is over anybody's prepared clips: every row reads those of ``corpus``, folds are theirs, and
            rows stand in the order of their scores.
        recipes: Further recipes that the stand-in is prepared by.
    """

    name: str
    title: str
    source: str
    corpus: str
    rows: tuple[Row, ...]
    folds: tuple[int, ...]
    seeds: dict[str, tuple[int, ...]]
    synthetic: bool
    make: Config
    missing: dict[str, tuple[float, ...]] = field(default_factory=dict)
    subsets: tuple[tuple[str, ...], ...] = ()
    missing_rows: tuple[str, ...] = ()
    metric: str = "accuracy"
    unpublished: str = "-"
    real_features: bool = False
    top3: bool = False
    across: Across | None = None
    own: bool = False
    recipes: tuple[str, ...] = ()

    @property
    def protocols(self) -> tuple[str, ...]:
        """Protocols that the table has cells of."""
        return tuple(self.seeds)

    @property
    def data(self) -> Path:
        """Folder of the corpus."""
        return data_folder(self.corpus, self.synthetic)

    def row(self, name: str) -> Row:
        """Return the row of this name.

        Raises:
            DataError: If the table has none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise DataError(f"table {self.name} has no row {name!r}; rows: {', '.join(row.name for row in self.rows)}")


def data_folder(corpus: str, synthetic: bool) -> Path:
    """Return the folder of a corpus, or of its stand-in."""
    return Path("data", *(["synthetic"] if synthetic else []), corpus)


def table_names(project: Path = PROJECT) -> list[str]:
    """Return the names of the tables there are."""
    return sorted(path.stem for path in (project / "experiments" / "tables").glob("*.yaml"))
