"""What the Hugging Face hub answers when it does not give what was asked: one sentence each, with the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ptc.runtime.artifacts import InputWrong, ResourceMissing


def refusals() -> tuple[type[Exception], ...]:
    """What `huggingface_hub` and `datasets` raise when the hub does not give what was asked, or breaks off."""
    from datasets.exceptions import DatasetsError
    from httpx2 import HTTPError
    from huggingface_hub import errors

    broken = (errors.EntryNotFoundError, errors.RevisionResolutionError, errors.HFValidationError)
    return (OSError, ValueError, *broken, DatasetsError, HTTPError)


def hub_refusal(what: str, name: str, problem: BaseException, offline: bool = False) -> InputWrong | ResourceMissing:
    """The typed error for a failure of `huggingface_hub` or `datasets` to get `what` (``model``, ``dataset``) `name`.

    `offline`: the profile does not allow to fetch, and only the cache was asked.
    """
    from datasets.exceptions import DatasetNotFoundError
    from httpx2 import TransportError
    from huggingface_hub import errors

    causes = list(_causes(problem))
    the = f"the {what} `{name}`"
    page = f"https://huggingface.co/{'datasets/' if what == 'dataset' else ''}{name}"
    said = str(problem)  # `datasets` drops the cause, and has only its words
    if _any(causes, errors.GatedRepoError) or "is a gated dataset" in said:
        return InputWrong(f"{the} is gated: accept its conditions on {page} and set HF_TOKEN")
    if _any(causes, errors.RevisionNotFoundError) or said.startswith("Revision '"):
        return InputWrong(f"{the} has no such revision: name a branch, tag or commit that it has")
    if _any(causes, errors.RepositoryNotFoundError, errors.HFValidationError):
        return InputWrong(f"the hub has no public {what} `{name}`: check its name; if it is private, set HF_TOKEN")
    statuses = [error.response.status_code for error in causes if isinstance(error, errors.HfHubHTTPError)]
    if 401 in statuses or 403 in statuses:
        return InputWrong(f"the hub refuses {the} (HTTP {statuses[0]}): set HF_TOKEN to a token that may read it")
    unreachable = _any(causes, errors.LocalEntryNotFoundError, ConnectionError)
    if isinstance(problem, TransportError) and not unreachable:
        return ResourceMissing(f"the hub broke off while it sent {the}: run again, what has arrived is kept")
    if unreachable and offline:
        return ResourceMissing(f"{the} is not in the cache: allow_hub = true in the profile lets ptc fetch it")
    if _any(causes, errors.OfflineModeIsEnabled):
        return ResourceMissing(f"{the} is not in the cache and HF_HUB_OFFLINE is set: unset it, or name a local path")
    if statuses:
        return ResourceMissing(f"the hub answers HTTP {statuses[0]} for {the}: run again later")
    if unreachable:
        return ResourceMissing(
            f"the hub cannot be reached and {the} is not in the cache: connect, or name a local path"
        )
    if _any(causes, DatasetNotFoundError):
        return InputWrong(
            f"the hub has no {what} `{name}` that can be read: check its name; if it is private, set HF_TOKEN"
        )
    return InputWrong(f"{the} cannot be used: {_first_line(problem)}: name another, or a local path")


@contextmanager
def cache_only() -> Iterator[None]:
    """No request leaves the process. `datasets` has no argument that says so, only what it read at import."""
    import datasets.config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _first_line(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
