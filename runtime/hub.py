"""What the Hugging Face hub answers when it does not give what was asked: one sentence each, with the remedy."""

from __future__ import annotations

from collections.abc import Iterator

from ptc.runtime.artifacts import InputWrong, ResourceMissing


def hub_refusal(what: str, name: str, problem: BaseException) -> InputWrong | ResourceMissing:
    """The typed error for a failure of `huggingface_hub` or `datasets` on getting `what` (``model``, ``dataset``) `name`."""
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import errors

    causes = list(_causes(problem))
    if _any(causes, errors.GatedRepoError):
        return InputWrong(
            f"the {what} `{name}` is gated: accept its conditions on https://huggingface.co/{_path(what, name)} and set HF_TOKEN"
        )
    if _any(causes, errors.RevisionNotFoundError):
        return InputWrong(f"the {what} `{name}` has no such revision: name a branch, tag or commit that it has")
    if _any(causes, errors.RepositoryNotFoundError) or _any(causes, errors.HFValidationError):
        return InputWrong(
            f"the hub has no public {what} `{name}`: check its name; for a private one set HF_TOKEN to a token that may read it"
        )
    statuses = [error.response.status_code for error in causes if isinstance(error, errors.HfHubHTTPError)]
    if 401 in statuses or 403 in statuses:
        return InputWrong(f"the hub refuses the {what} `{name}` (HTTP {statuses[0]}): set HF_TOKEN to a token that may read it")
    if _any(causes, errors.OfflineModeIsEnabled):
        return ResourceMissing(
            f"the {what} `{name}` is not in the cache and HF_HUB_OFFLINE is set: unset it, or name a local folder or file"
        )
    if statuses:
        return ResourceMissing(f"the hub answers HTTP {statuses[0]} for the {what} `{name}`: run again later")
    if _any(causes, errors.LocalEntryNotFoundError) or _any(causes, ConnectionError):
        return ResourceMissing(
            f"the hub cannot be reached and the {what} `{name}` is not in the cache: connect, or name a local folder or file"
        )
    if _any(causes, DatasetNotFoundError):
        return InputWrong(f"the hub has no {what} `{name}` that can be read: check its name, or set HF_TOKEN if it is private")
    return InputWrong(f"the {what} `{name}` cannot be used: {_first_line(problem)}")


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _any(causes: list[BaseException], kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes)


def _path(what: str, name: str) -> str:
    return f"datasets/{name}" if what == "dataset" else name


def _first_line(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
