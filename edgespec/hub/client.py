"""Asks the Hub what a repository holds, at one commit, and reads parts of its files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha1, sha256
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_session, get_token, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from edgespec import __version__
from edgespec.errors import DownloadFailed, ModelUnavailable
from edgespec.hub import answers
from edgespec.hub.names import is_commit, is_repository, is_sha256, shown
from edgespec.hub.patience import Attempts, Changed, Patience, Transient
from edgespec.hub.stream import Source, Span, opened

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_Answer = TypeVar("_Answer")
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_SMALL = 16 << 20
_AGENT = f"edgespec/{__version__}"

# With it, the client asks huggingface.co which program calls it, whichever Hub is in use.
constants.HF_HUB_DISABLE_TELEMETRY = True


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository, by its path there; `size` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A small file, kept in git itself: the Hub tells `blob`, git's checksum, alone."""

    path: str
    size: int
    blob: str


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository holds at one commit: the files whose checksum the Hub knows.

    `plain` are the small ones, whose checksum is git's.
    """

    name: str
    commit: str
    files: tuple[RemoteFile, ...]
    licence: str
    plain: tuple[PlainFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A repository that a search found; `downloads` is what the Hub counts."""

    name: str
    downloads: int
    gated: bool


class Hub:
    """The Hub at HF_ENDPOINT, unless `endpoint` is given, with the user's token if there is one.

    Every request raises ModelUnavailable for what the Hub does not have or does not give, also
    because HF_HUB_OFFLINE is set, and DownloadFailed when the network fails for good.
    """

    def __init__(self, endpoint: str | None = None, patience: Patience | None = None) -> None:
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self.patience = patience or Patience(silence=float(constants.HF_HUB_DOWNLOAD_TIMEOUT))
        self._api = HfApi(self.endpoint, library_name="edgespec", library_version=__version__)

    def repository(self, name: str, revision: str | None = None) -> Repository:
        """What `name` holds at `revision`, by default at its newest commit."""
        what = f"repository {name}" + (f" at {revision}" if revision else "")

        def ask() -> Repository:
            info = self._api.model_info(
                name, revision=revision, files_metadata=True, timeout=self.patience.silence
            )
            if not is_commit(info.sha) or not isinstance(info.siblings, list):
                raise ValueError
            files = tuple(file for sibling in info.siblings if (file := _file(sibling)))
            plain = tuple(small for sibling in info.siblings if (small := _plain(sibling)))
            return Repository(name, str(info.sha), files, _licence(info), plain)

        return self._ask(ask, what)

    def search(self, text: str, limit: int) -> list[Found]:
        """GGUF repositories that match `text`, those downloaded most first."""

        query = {"search": text, "filter": "gguf", "sort": "downloads", "limit": str(limit)}

        def ask() -> list[Found]:
            # Not HfApi.list_models: it waits for a silent server for ever.
            response = get_session().get(
                f"{self.endpoint}/api/models",
                params=query,
                headers=_headers(),
                timeout=self.patience.silence,
            )
            answers.check(response, "list of models")
            return [
                Found(str(model["id"]), int(model["downloads"]), bool(model.get("gated")))
                for model in response.json()[:limit]
                if is_repository(model["id"])
            ]

        return self._ask(ask, "list of models")

    def source(self, repository: str, commit: str, file: RemoteFile) -> Source:
        """Where to get `file` from."""
        require_online(repository)
        url = hf_hub_url(repository, file.path, revision=commit, endpoint=self.endpoint)
        what = f"{file.path} of {repository}"
        return Source(url, what, file.size, file.sha256, _headers())

    def content(
        self, repository: Repository, file: RemoteFile | PlainFile, stop: Event | None = None
    ) -> bytes:
        """All of a small file, compared with the checksum that the Hub tells."""
        known = file.sha256 if isinstance(file, RemoteFile) else ""
        place = RemoteFile(file.path, file.size, known)
        source = self.source(repository.name, repository.commit, place)
        data = self.read(source, 0, file.size, stop)
        if isinstance(file, PlainFile):
            git = sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
            whole = git.hexdigest() == file.blob
        else:
            whole = sha256(data).hexdigest() == known
        if not whole:
            raise DownloadFailed(f"{source.what} is not what the Hub says it is", "try it again")
        return data

    def read(self, source: Source, start: int, length: int, stop: Event | None = None) -> bytes:
        """`length` bytes from `start` on."""
        span = Span(start, min(start + length, source.size))

        def ask() -> bytes:
            with opened(source, span, self.patience.silence) as pieces:
                data = b"".join(pieces)
            if len(data) < span.stop - span.start:
                raise Transient("the connection was cut")
            return data

        return self._ask(ask, source.what, stop)

    def _ask(self, ask: Callable[[], _Answer], what: str, stop: Event | None = None) -> _Answer:
        """What `ask` brings, after some attempts if need be."""
        attempts = Attempts(what, self.patience.short(), stop or Event())
        while True:
            try:
                return _once(ask, what)
            except Transient as failure:
                attempts.sleep(attempts.next_wait(failure))


def _headers() -> dict[str, str]:
    """Who asks, and with what right."""
    token = get_token()
    return {"user-agent": _AGENT} | ({"authorization": f"Bearer {token}"} if token else {})


def is_offline() -> bool:
    """Whether the user forbids the network."""
    return constants.is_offline_mode()


def require_online(what: str) -> None:
    """Raise ModelUnavailable if the user forbids the network; `what` is then missing."""
    if is_offline():
        raise ModelUnavailable(
            f"{what} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it",
            "unset HF_HUB_OFFLINE, or choose from edgespec models list",
        )


def _once(ask: Callable[[], _Answer], what: str) -> _Answer:
    try:
        return ask()
    except OfflineModeIsEnabled:
        require_online(what)
        raise
    except HfHubHTTPError as error:
        answers.check(error.response, what)
        raise DownloadFailed(f"the Hub does not give {what}: {shown(str(error))}") from error
    except httpx2.HTTPError as error:
        raise answers.network(error, what) from error
    except HFValidationError as error:
        raise ModelUnavailable(f"the Hub can have no {what}", "check the spelling") from error
    except Changed as error:
        raise DownloadFailed(f"{error} changed on the Hub meanwhile", "try it again") from error
    except _NONSENSE as error:
        raise DownloadFailed(
            f"the answer about {what} is not the Hub's",
            "a proxy or a login page may be in the way; check HF_ENDPOINT if it is set",
        ) from error


def _file(sibling: "RepoSibling") -> RemoteFile | None:
    """The file, None if the Hub tells no checksum of it."""
    details: Any = sibling.lfs
    if details is None or not is_sha256(details.sha256):
        return None
    if not isinstance(details.size, int) or details.size < 0:
        raise ValueError
    return RemoteFile(str(sibling.rfilename), details.size, details.sha256)


def _plain(sibling: "RepoSibling") -> PlainFile | None:
    """The file, None for one outside git, or too large to be one of those that matter."""
    blob, size = sibling.blob_id, sibling.size
    small = isinstance(size, int) and 0 < size <= _SMALL
    if sibling.lfs is not None or not small or not is_commit(blob):
        return None
    return PlainFile(str(sibling.rfilename), int(size or 0), str(blob))


def _licence(info: "ModelInfo") -> str:
    tags: Iterator[str] = (tag for tag in info.tags or () if isinstance(tag, str))
    return next((tag[len("license:") :] for tag in tags if tag.startswith("license:")), "")
