"""What is checked of clips before they are decoded: one recording under two names, and who is said to be in them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datamodules.catalogues.clips.located import Located
from datamodules.entries import Entry
from datamodules.media.people_in_picture import PERSON
from datamodules.reading.recordings import Recording, check_recordings, duplicate_hashes, repeated
from error_texts import first_names


def without_repeats(entries: Sequence[Entry], source: Path, speakers: bool) -> list[Entry]:
    """Return the clips without those that come again under another name where nobody is named.

    Of several people in the picture, whom a column names, each has recordings of their own.

    Raises:
        DataError: One recording is of two speakers, or labelled differently.
    """
    people = defaultdict(list)
    for entry in entries:
        people[entry.columns.get(PERSON, "")].append(entry)
    if len(people) > 1:
        checked = {entry.id: entry for own in people.values() for entry in without_repeats(own, source, speakers)}
        return [checked[entry.id] for entry in entries]
    media = {entry.id: next(iter(entry.media.values())) for entry in entries}
    files = {name: medium.path for name, medium in media.items() if not medium.span}
    whole = [(entry, path) for entry in entries if not entry.reason and (path := files.get(entry.id))]
    said = [(path, entry.group if speakers else "", _content(entry)) for entry, path in whole]
    if speakers:
        check_recordings(said, source)
        return list(entries)
    digests = duplicate_hashes([path for _, path in whole])
    again = repeated(
        (
            (digests[path], Recording(entry.name, "", label))
            for (entry, path), (_, _, label) in zip(whole, said, strict=True)
            if path in digests
        ),
        source,
    )
    if again:
        print(f"  {len(again)} files with the bytes of another one left aside ({first_names(again)})")
    left = set(again)
    return [replace(entry, dropped="same bytes as another clip") if entry.name in left else entry for entry in entries]


def _content(entry: Entry) -> str:
    """Return the labels of a clip in a form in which two can be compared."""
    return repr([(name, value) for name, value in entry.columns.items() if name.startswith(("soft_", "value_"))]) + str(
        entry.label
    )


def print_speakers(located: Sequence[Located]) -> None:
    """Print of how many clips nobody says who they show."""
    bare = [one.name for one in located if not one.row.get("speaker")]
    folded = defaultdict(set)
    for one in located:
        folded[one.row.get("speaker", "").casefold()].add(one.row.get("speaker", ""))
    if alike := [" and ".join(sorted(names)) for names in folded.values() if len(names) > 1]:
        print(f"  speakers {first_names(alike)} differ in capitals alone and are different ones; mend the table if not")
    if len(bare) == len(located):
        print("  no column speaker: whether one person is in two folds cannot be checked; the unit is the clip")
    elif bare:
        print(f"  {len(bare)} clips without a speaker ({first_names(bare)}): each is a speaker of its own")
    paths = {one.path for one in located if one.path is not None}
    digests: dict[Path, str] = duplicate_hashes(sorted(paths))
    shown, called = defaultdict(set), defaultdict(set)
    for one in located:
        if one.path is not None:
            recording = digests.get(one.path, str(one.path))  # also under two names
            shown[recording].add(one.row.get("speaker", ""))
            called[recording].add(one.path.name)
    if several := [" and ".join(sorted(called[recording])) for recording, who in shown.items() if len(who) > 1]:
        print(f"  {len(several)} files have parts of several speakers ({first_names(several)}), whose folds may differ")
