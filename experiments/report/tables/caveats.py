"""Caveats of a table's figures, a sentence or two each, from result files, so that nobody types a number."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from experiments.report.tables.text_table import METRICS, STAMP, TITLES
from experiments.reproduce.tables.table import COLUMNS
from experiments.results.quantities import duration
from experiments.results.stamps import MEANINGS, TRANSDUCTIVE
from experiments.scores.metrics import statistics
from experiments.scores.table_scores import RowSummary, Summary


def sizes(row: RowSummary, protocol: str, names: Sequence[str] = ("n_train", "n_test")) -> str:
    """Return the numbers of clips of a row's cells under a protocol: of each name one, or least and greatest."""
    own = [cell.result for (name, _, _), cell in row.cells.items() if name == protocol]
    return " / ".join(_range(result[size] for result in own) for size in names) if own else ""


def training_sizes(summary: Summary) -> str:
    """Return a sentence where the protocols train on different numbers of clips; else nothing."""
    by_protocol = {
        protocol: _range(
            cell.result["n_train"]
            for row in summary.rows
            for (name, _, _), cell in row.cells.items()
            if name == protocol
        )
        for protocol in summary.table.protocols
    }
    if len(set(by_protocol.values()) - {""}) < 2:
        return ""
    told = ", ".join(f"{protocol} {count}" for protocol, count in by_protocol.items() if count)
    return f"The protocols train on different numbers of clips ({told}): their difference is not selection alone."


def seeds(summary: Summary) -> str:
    """Return the number of seeds behind the columns of every protocol."""
    counts = {
        protocol: _range(
            row.scores[column].seeds
            for row in summary.rows
            for column, (name, _) in COLUMNS.items()
            if name == protocol and column in row.scores
        )
        for protocol in summary.table.protocols
    }
    return "seeds: " + ", ".join(f"{protocol} {count}" for protocol, count in counts.items() if count)


def inference(summary: Summary) -> list[str]:
    """Return how interval and p were computed, and what they are conditional on, a sentence each."""
    scored = [(row, row.scores[summary.headline]) for row in summary.rows if summary.headline in row.scores]
    if not scored:
        return []
    groups = summary.group_name
    single = [row.row.label for row, score in scored if score.seeds == 1]
    several = len(single) < len(scored)
    tested = any(not math.isnan(row.p) for row in summary.rows)
    lines = [f"Interval: bootstrap of {groups}{' and seeds' if several else ''}, {statistics.RESAMPLES:,} resamples."]
    if tested:
        counted = "all sign patterns counted (exact)"
        if drawn := [row for row in summary.rows if row.drawn]:
            labels = ", ".join(row.row.label for row in drawn)
            counted += f", but in {labels}: {drawn[0].drawn:,} random ones"
        lines.append(
            f"p: paired sign-flip test over {groups} against the row above, {counted}; corrected by Holm's method."
        )
    if several and tested:
        lines.append(
            "Several seeds: those of a clip are averaged before rows are paired; p is conditional on the training runs "
            "that were made."
        )
    bases = [(row.transductive, row.class_names, row.basis(summary.headline)) for row, _ in scored if not row.apart]
    if any(one[:2] == other[:2] and one[2] != other[2] for one, other in pairwise(bases)):
        lines.append("No p where the row above has other folds, seeds or clips.")
    if single:
        which = f" ({', '.join(single)})" if several else ""
        what = "interval and p are" if tested else "the interval is"
        lines.append(
            f"One training run per fold{which}: {what} conditional on it, which leaves out how another run of the same "
            "row would differ."
        )
    return lines


def trainings(summary: Summary) -> str:
    """Return how many cells are behind the table, how many of them were trained, and how long that took."""
    results = [cell.result for row in summary.rows for cell in row.cells.values()]
    trained = [of for of in results if any(found["epoch"] is not None for found in of["selections"].values())]
    if not results:
        return ""
    rest = len(results) - len(trained)
    without = f" and {rest} that train nothing" if rest else ""
    took = duration(sum(result["seconds"] for result in results))
    devices = ", ".join(sorted({result["device"] for result in results}))
    counted = f"{len(results)} cells, {len(trained)} trainings{without}"
    return f"Behind the table: {counted}; {took} one after the other ({devices})."


def versions(summary: Summary) -> str:
    """Return the rows that were measured with a version of the code that no other row has."""
    commits = {
        row.row.label: {cell.result["commit"] or "unknown" for cell in row.cells.values()}
        for row in summary.rows
        if row.cells
    }
    alone = {
        label: own
        for label, own in commits.items()
        if not any(own & others for other, others in commits.items() if other != label)
    }
    if not alone or len(commits) < 2:
        return ""
    told = "; ".join(f"{label}: commit {', '.join(sorted(own))}" for label, own in alone.items())
    rest = sorted({commit for label, own in commits.items() if label not in alone for commit in own})
    others = f"the other rows (commit {', '.join(rest)})" if rest else "any other row"
    return f"Measured with another version of the code than {others}: {told}."


def value_notes(summary: Summary) -> list[str]:
    """Return what has to be known of the table of values; nothing where no row has any."""
    if not any(row.values for row in summary.rows):
        return []
    return [
        f'Values: of the column "{TITLES[summary.headline]}", over the clips of all folds together, the seeds of a '
        "clip weigh as one clip. CCC is Lin's concordance, MAE in the unit of the label, in brackets that of the mean "
        "of the training labels. p: paired sign-flip test of the errors over groups against the row above, by "
        "Holm's method."
    ]


def notes(summary: Summary) -> list[str]:
    """Return the caveats of the tables, one or two sentences each."""
    scores = [score for row in summary.rows for score in row.scores.values()]
    other = "Accuracy" if summary.table.metric == "uar" else "UAR"
    several_seeds = any(not math.isnan(score.seed_spread) for score in scores)
    about = [training_sizes(summary), *inference(summary), trainings(summary)]
    values = value_notes(summary)
    lines = (
        []
        if values and not scores
        else [
            f"Measured: {METRICS[summary.table.metric]} in percent, {_averaged(summary, several_seeds)}.",
            f"{_chosen(summary)} chosen on validation {summary.group_name} that are in neither train nor test.",
            f'{other}, macro F1, interval and p are of the column "{TITLES[summary.headline]}"; UAR and macro F1 over '
            "the clips of all folds together.",
        ]
    )
    lines += [*values, *filter(None, [*about, versions(summary)])]
    if any(row.transductive for row in summary.rows):
        lines.append(f"{TRANSDUCTIVE}: {MEANINGS[TRANSDUCTIVE]}; these rows are compared with each other alone.")
    if summary.table.across:
        lines.append(
            "Across corpora: no training; every fold's model is scored on all labelled clips of the other corpus, its "
            "probabilities over the classes that both have made to add up to 1. Chance there is a UAR of 1 / classes."
        )
    if summary.table.synthetic:
        lines.insert(0, f"{STAMP}: made on a generated stand-in corpus; the figures say nothing about the real one.")
    lines += [
        f"{row.row.label}, published: {row.row.published['note']}."
        for row in summary.rows
        if row.row.published.get("note")
    ]
    return lines + summary.notes


def _averaged(summary: Summary, several_seeds: bool) -> str:
    if len(summary.table.folds) == 1:
        spread = "mean over seeds \N{PLUS-MINUS SIGN} standard deviation over seeds (ddof 1)"
        return spread if several_seeds else "one run"
    of_seeds = f" of the seed means ({seeds(summary)})" if several_seeds else ""
    return f"mean over folds{of_seeds} \N{PLUS-MINUS SIGN} standard deviation over folds (ddof 1)"


def _chosen(summary: Summary) -> str:
    optimistic = "Optimistic: the epoch was chosen on the test fold, as the papers do. "
    return f"{optimistic if 'best' in summary.columns else ''}Honest:"


def _range(values: Iterable[int]) -> str:
    distinct = sorted(set(values))
    if not distinct:
        return ""
    return f"{distinct[0]}" if len(distinct) == 1 else f"{distinct[0]} to {distinct[-1]}"
