"""An exported folder on the Hugging Face hub."""

import os
from pathlib import Path

from error_texts import first_line
from experiments.errors import NotPushed, UsageError


def check_hub(name: str) -> None:
    """Look whether something can be pushed, before anything is made.

    Args:
        name: Of the repository, ``OWNER/NAME``.

    Raises:
        UsageError: The name is none, the hub is switched off, or nobody is logged in.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        name = ""
    if name.count("/") != 1:
        raise UsageError("--push: expected the name of a repository, OWNER/NAME")
    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE") == "1":
        raise UsageError(
            f"--push {name}: HF_HUB_OFFLINE is set, nothing is sent anywhere; unset it, or leave out --push"
        )
    if not get_token():
        raise UsageError(f"--push {name}: nobody is logged in to the Hugging Face hub: hf auth login, or set HF_TOKEN")


def push(folder: Path, name: str) -> str:
    """Make a repository hold what a folder holds and nothing else; return its address.

    Args:
        folder: The exported folder.
        name: Of the repository; a new one is private.

    Raises:
        NotPushed: The hub cannot be reached, or refuses it.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        place = api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=name, folder_path=folder, delete_patterns="*", commit_message="An export of affectzoo"
        )
    except Exception as error:  # the hub's client raises many kinds
        reason = first_line(error, 160)
        raise NotPushed(
            f"--push {name}: {folder} is whole, but could not be pushed ({reason}); push it again"
        ) from error
    return str(place)
