"""What a program sees and may do in bubblewrap (version 0.8 or newer): the options of bwrap(1).

It sees programs and libraries, fonts, the linker cache and what the policy names, all read-only; two directories in
memory and /dev/shm can be written, each with a size of its own.  No network, no capability, no further namespace, no
system call but those of `syscalls`, no environment but ours.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

INSIDE = "/scratch"
SIZES = {INSIDE: 512 << 20, "/tmp": 512 << 20, "/dev/shm": 64 << 20}  # noqa: S108 (of the sandbox)
"""What can be written, and how much."""

_SEEN = ("/etc/fonts", "/var/cache/fontconfig", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/alternatives")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# Where a site keeps its own things below /usr: hier(7), FreeBSD's and pkgsrc's places, and what `make install` takes.
_HIDDEN = ("/usr/local/etc", "/usr/local/var", "/usr/src", "/usr/local/src", "/usr/etc", "/usr/pkg/etc")


class Exposed(Exception):  # noqa: N818 (an answer)
    """A secret lies in what the program must see, so that it cannot be hidden."""


def options(environment: Mapping[str, str], visible: Sequence[str], secrets: Sequence[str]) -> Iterator[str]:
    """Yield the options but for descriptors; visible: further paths to see; secrets: files to be hidden; Exposed."""
    yield from ("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session")
    yield from ("--cap-drop", "ALL", "--clearenv")
    for name, value in environment.items():
        yield from ("--setenv", name, value)
    for path in _SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    yield from ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--remount-ro", "/proc", "--dev", "/dev")
    for path, size in SIZES.items():
        mode = "0700" if path == INSIDE else "1777"
        yield from ("--perms", mode, "--size", str(size), "--tmpfs", path)
    for path in (*_SEEN, *visible):
        yield from ("--ro-bind-try", path, path)
    for path in hidden(visible, secrets):
        yield from ("--perms", "0555", "--size", "4096", "--tmpfs", path, "--remount-ro", path)
    yield from ("--chdir", INSIDE)


def closed() -> tuple[str, ...]:
    """Return the options that stand after all files: nothing more can be made beside what may be written."""
    return ("--remount-ro", "/dev", "--remount-ro", "/")


def hidden(visible: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """Return the folders inside to be covered; Exposed when a secret lies where the program must see everything."""
    folders = [path for path in _HIDDEN if os.path.isdir(path) and not os.path.islink(path)]
    for secret in secrets:
        for given in (*_SYSTEM, *_SEEN, *visible):
            folder = _folder(given, os.path.realpath(secret))
            if folder is not None and not any(_is_below(folder, path) for path in folders):
                folders.append(folder)
    return folders


def _folder(given: str, secret: str) -> str | None:
    """Return where the folder of a secret appears below a path that is seen; None when it does not."""
    root = os.path.realpath(given)
    if not _is_below(secret, root) or not os.path.lexists(secret):
        return None
    if os.path.islink(given) and given in _SYSTEM:
        return None  # what it leads to is seen, and looked at, by its own name
    folder = os.path.dirname(secret)
    if root in {secret, folder}:
        raise Exposed(f"{secret} lies in {given}, which the program sees")
    return given + folder[len(root) :]


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
