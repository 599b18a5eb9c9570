"""The one module that touches the disk for what must survive: durable files, folders and renames.

Every operation passes `Disk.at` first, so that a test can kill the process, leave half a file, or fill the disk
at the n-th of them. Nothing here is ever overwritten in place: a file is written, made durable, then renamed.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import shutil
import signal
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Never

from ptc.runtime.artifacts import ResourceMissing

Fault = Literal["kill", "half", "full"]
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

NO_LINK = frozenset(
    {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)
"""What file systems say that give no link."""

_LOW = 1 << 20
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Failpoint:
    """What goes wrong at the `nth` disk operation whose name and path match. Tests only."""

    fault: Fault
    operation: str
    path: str
    nth: int

    @staticmethod
    def parse(text: str) -> Failpoint:
        """``FAULT:OPERATION:PATH:NTH``; operation and path are shell patterns: ``kill:rename:*/ckpt/*:2``."""
        fault, operation, path, nth = text.split(":")
        if fault not in ("kill", "half", "full"):
            raise ValueError(f"unknown fault {fault!r}: kill, half or full")
        return Failpoint(fault, operation, path, int(nth))  # type: ignore[arg-type]  # narrowed above

    def matches(self, operation: str, path: Path) -> bool:
        return fnmatch.fnmatch(operation, self.operation) and fnmatch.fnmatch(str(path), self.path)


@dataclass(frozen=True)
class FileDigest:
    """What a file holds: SHA-256 in hex, and size in bytes."""

    sha256: str
    size: int


class Disk:
    """Durable operations, counted. One failpoint at most."""

    def __init__(self, failpoint: Failpoint | None = None) -> None:
        self.failpoint = failpoint
        self.operations = 0
        self._matched = 0

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> Disk:
        """A disk with the failpoint of ``PTC_FAILPOINT``, if that is set."""
        text = environment.get("PTC_FAILPOINT")
        return Disk(Failpoint.parse(text) if text else None)

    def at(self, operation: str, path: Path) -> bool:
        """Counts an operation about to happen, and lets the failpoint strike. True: write half of it, then die."""
        self.operations += 1
        point = self.failpoint
        if point is None or not point.matches(operation, path):
            return False
        self._matched += 1
        if point.fault == "full" and self._matched >= point.nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if self._matched != point.nth:
            return False
        if point.fault == "half" and operation == "write":
            return True
        die()

    def make_folder(self, path: Path) -> None:
        """Makes a folder that must not be there yet."""
        self.at("mkdir", path)
        path.mkdir(parents=True)

    def write(self, path: Path, content: bytes) -> FileDigest:
        """A new file, durable when this returns; its folder is not yet. Hashes what it writes."""
        half = self.at("write", path)
        with path.open("xb") as file:
            file.write(content[: len(content) // 2] if half else content)
            file.flush()
            if half:
                die()
            self.at("fsync", path)
            os.fsync(file.fileno())
        return FileDigest(hashlib.sha256(content).hexdigest(), len(content))

    def replace(self, path: Path, content: bytes, scratch: Path) -> None:
        """A file at `path`, old or new but never in between, durable when this returns. `scratch`: same file system."""
        scratch.unlink(missing_ok=True)
        self.write(scratch, content)
        self.rename(scratch, path)

    def sync(self, path: Path) -> None:
        """Makes a file that a library has written, or a folder's list of names, durable."""
        self.at("fsync", path)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Atomic; durable when this returns. A target folder must not exist (`FileExistsError` if it has content)."""
        self.at("rename", target)
        try:
            source.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise FileExistsError(errno.EEXIST, "exists", str(target)) from error
            raise
        self.sync(target.parent)
        if source.parent != target.parent:
            self.sync(source.parent)

    def append(self, file: IO[bytes], path: Path, line: bytes, durable: bool) -> None:
        """One line at the end of an open, unbuffered file: all of it, or an `OSError` and none."""
        half = self.at("write", path)
        start = os.fstat(file.fileno()).st_size
        rest = memoryview(line[: len(line) // 2] if half else line)
        try:
            while rest:  # a nearly full disk takes a part without complaint
                rest = rest[file.write(rest) :]
        except OSError:
            os.ftruncate(file.fileno(), start)
            raise
        if half:
            die()
        if durable:
            self.at("fsync", path)
            os.fsync(file.fileno())

    def cut(self, path: Path, size: int) -> None:
        """Shortens a file to `size` bytes, durably."""
        self.at("truncate", path)
        with path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def remove(self, path: Path) -> None:
        """Removes a file or a folder that nobody needs; one that is already gone is fine."""
        self.at("remove", path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def copy(self, source: Path, target: Path) -> None:
        """A copy of a folder, files durable; the target must not exist."""
        self.make_folder(target)
        for name in sorted(regular_files(source)):
            self.at("write", target / name)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
            self.sync(target / name)

    def seal(self, folder: Path) -> dict[str, FileDigest]:
        """Makes every file and sub-folder of `folder` durable and read-only, and says what the files hold."""
        files = {}
        for name in sorted(regular_files(folder)):
            path = folder / name
            self.sync(path)
            path.chmod(0o444)
            files[name] = digest_of(path)
        for path in sorted((item for item in folder.rglob("*") if item.is_dir()), reverse=True):
            self.sync(path)
        return files


def share(source: Path, target: Path) -> None:
    """The content of a file that nobody changes any more under another name: a link, so that it is on the disk once.

    A copy where the file is not sealed, and where the file system gives no link: another one, too many, not allowed.
    """
    if not source.stat().st_mode & _WRITABLE:
        try:
            os.link(source.resolve(), target)
            return
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
    shutil.copyfile(source, target)


class StrangeFile(ValueError):
    """A folder holds what is neither a regular file nor a folder, or cannot be listed."""


def regular_files(folder: Path) -> Iterator[str]:
    """Names of all files below `folder`, relative to it, with forward slashes. `StrangeFile` on links, pipes, …"""
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path).relative_to(folder).as_posix()
                else:
                    raise StrangeFile(f"{entry.path} is not a regular file")


def digest_of(path: Path) -> FileDigest:
    """Reads a file whole. `OSError` if that is impossible."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return FileDigest(hashlib.file_digest(file, "sha256").hexdigest(), size)


def content_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, the SHA-256 of its files' names and digests, one a line."""
    if not stat.S_ISDIR(path.stat().st_mode):
        return digest_of(path).sha256
    lines = [f"{digest_of(path / name).sha256}  {name}\n" for name in sorted(regular_files(path))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_disk_full(error: OSError) -> bool:
    return error.errno in DISK_FULL


def disk_full(path: Path) -> ResourceMissing:
    """What to tell the user when a write found no room."""
    free = shutil.disk_usage(path).free
    return ResourceMissing(f"disk full: {free / 1e9:.2f} GB free on the disk of {path}; free space and run again")


def disk_is_low(path: Path) -> bool:
    """Less free than the smallest write worth making: what failed meanwhile failed for that."""
    return shutil.disk_usage(path).free < _LOW


def die() -> Never:
    """Leaves as `kill -9` would: nothing is flushed, nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("outlived SIGKILL")
