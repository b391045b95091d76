"""What a person does to the files of a clone, at random; and what they hold then, by another account than git's."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dandi_mirror.paths import is_own
from tests.conftest import run

ENDINGS = (".mp4", ".dat", ".tsv", ".json", ".tar.gz", "")
FOLDERS = ("sub-1", "sub-2", "sub-2/ses-1", "deep/er/and/deeper", "with a blank", "")


class Edits:
    """One clone, and what is done to it."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = folder
        self.dice = dice
        self.did: Counter[str] = Counter()
        self.contents: list[bytes] = []
        """All that was ever written."""
        self._number = 0

    def some(self) -> None:
        """A sequence of edits, left in the work tree, in the index, or in commits, or some of each."""
        edits = [self.add, self.add, self.add, self.replace, self.replace, self.rename, self.rename, self.delete,
                 self.rename_folder, self.swap, self.twice, self.move_over, self.file_to_folder, self.change_ending,
                 self.back_and_forth, self.unlock, self.save, self.stage]  # fmt: skip
        for edit in self.dice.choices(edits, k=self.dice.randint(1, 6)):
            self._do(edit)

    def _do(self, edit: Callable[[], bool | None]) -> None:
        if edit() is not False:
            self.did[edit.__name__] += 1

    def paths(self) -> list[str]:
        """Every file that is nobody's own."""
        found = [path for path in self.folder.rglob("*") if path.is_symlink() or path.is_file()]
        names = [path.relative_to(self.folder).as_posix() for path in found]
        return sorted(name for name in names if not is_own(name))

    def held(self) -> dict[str, bytes]:
        """What the work tree holds."""
        return {path: (self.folder / path).read_bytes() for path in self.paths()}

    # --- single edits; False where there is nothing that could be edited so -----------------------------------

    def add(self) -> None:
        """A new file."""
        self._write(self._free(), self._bytes())

    def twice(self) -> bool:
        """A file's bytes a second time, at another path."""
        if not (path := self._any()):
            return False
        self._write(self._free(), (self.folder / path).read_bytes())
        return True

    def replace(self) -> bool:
        """Other bytes at a path."""
        if not (path := self._any()):
            return False
        (self.folder / path).unlink()
        self._write(path, self._bytes())
        return True

    def unlock(self) -> bool:
        """Other bytes at a path, as git-annex would have it."""
        known = set(run("git", "ls-files", "-z", cwd=self.folder).stdout.split("\0"))
        links = [path for path in self.paths() if path in known and (self.folder / path).is_symlink()]
        if not links:
            return False
        path = self.dice.choice(links)
        run("git", "annex", "unlock", "--quiet", path, cwd=self.folder)
        if (self.folder / path).is_symlink():
            return False  # git has something else there; and root could write through the link, into the annex
        self._write(path, self._bytes())
        return True

    def rename(self) -> bool:
        """A file to another path."""
        if not (path := self._any()):
            return False
        self._move(path, self._free(path))
        return True

    def change_ending(self) -> bool:
        """A file to another ending: git-annex would give it another key."""
        if not (path := self._any()):
            return False
        self._move(path, self._free() + self.dice.choice([".h5", ".bin"]))
        return True

    def rename_folder(self) -> bool:
        """All files of a folder."""
        folders = sorted({path.partition("/")[0] for path in self.paths() if "/" in path})
        if not folders:
            return False
        self._number += 1
        self._move(self.dice.choice(folders), f"folder-{self._number}")
        return True

    def swap(self) -> bool:
        """Two files, each to the other's path."""
        paths = self.paths()
        if len(paths) < 2:
            return False
        one, other = self.dice.sample(paths, 2)
        aside = self.folder / "aside"
        contents = [(self.folder / path).read_bytes() for path in (one, other)]
        if one.count("/") == other.count("/"):
            (self.folder / one).rename(aside)
            (self.folder / other).rename(self.folder / one)
            aside.rename(self.folder / other)
        else:
            for path, content in ((one, contents[1]), (other, contents[0])):
                (self.folder / path).unlink()
                self._write(path, content)
        return True

    def move_over(self) -> bool:
        """A file to the path of another, which is no more."""
        paths = self.paths()
        if len(paths) < 2:
            return False
        one, other = self.dice.sample(paths, 2)
        (self.folder / other).unlink()
        self._move(one, other)
        return True

    def delete(self) -> bool:
        """A file."""
        paths = self.paths()
        if len(paths) < 3:
            return False
        (self.folder / self.dice.choice(paths)).unlink()
        self._tidy()
        return True

    def file_to_folder(self) -> bool:
        """A folder where a file was, which is in it."""
        if not (path := self._any()):
            return False
        content = (self.folder / path).read_bytes()
        (self.folder / path).unlink()
        self._write(f"{path}/inside.dat", content)
        return True

    def back_and_forth(self) -> bool:
        """A file that is changed and changed back: no edit in the end."""
        plain = [path for path in self.paths() if not (self.folder / path).is_symlink()]
        if not plain:
            return False
        file = self.folder / self.dice.choice(plain)
        content = file.read_bytes()
        file.write_bytes(b"other")
        file.write_bytes(content)
        return True

    def save(self) -> None:
        """Commit it all, as DataLad does."""
        run("git", "annex", "add", "--quiet", ".", cwd=self.folder, code=None)
        run("git", "add", "-A", cwd=self.folder)
        run("git", "commit", "-q", "--allow-empty", "-m", "mine", cwd=self.folder)

    def stage(self) -> None:
        """Bring it all into the index."""
        run("git", "annex", "add", "--quiet", ".", cwd=self.folder, code=None)

    # ----------------------------------------------------------------------------------------------------------

    def _any(self) -> str:
        return self.dice.choice(self.paths() or [""])

    def _free(self, like: str = "") -> str:
        """A path that nothing has."""
        self._number += 1
        ending = "".join(Path(like).suffixes) if like else self.dice.choice(ENDINGS)
        folder = self.dice.choice(FOLDERS)
        while folder and any((self.folder / folder).is_file() for folder in [folder, *_above(folder)]):
            folder = ""
        return f"{folder}/file-{self._number}{ending}".lstrip("/")

    def _bytes(self) -> bytes:
        content = self.dice.randbytes(self.dice.randint(1, 3000))
        self.contents.append(content)
        return content

    def _write(self, path: str, content: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def _move(self, old: str, new: str) -> None:
        """As a file manager does, or as git does: only then links stay whole in another folder."""
        (self.folder / new).parent.mkdir(parents=True, exist_ok=True)
        tracked = run("git", "ls-files", "--error-unmatch", "--", old, cwd=self.folder, code=None).returncode == 0
        if tracked and self.dice.random() < 0.5:
            run("git", "mv", "-f", "-k", "--", old, new, cwd=self.folder, code=None)
        if os.path.lexists(self.folder / old):
            if (self.folder / old).is_dir() and (self.folder / new).is_dir():
                for file in list((self.folder / old).rglob("*")):
                    if file.is_symlink() or file.is_file():
                        target = self.folder / new / file.relative_to(self.folder / old)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        file.rename(target)
                shutil.rmtree(self.folder / old)
            else:
                shutil.move(self.folder / old, self.folder / new)
        self._mend()
        self._tidy()

    def _mend(self) -> None:
        """Links that were moved to another depth lead nowhere; `git annex fix` is what a person types then."""
        run("git", "annex", "fix", "--quiet", ".", cwd=self.folder, code=None)
        for path in self.paths():
            file = self.folder / path
            if file.is_symlink() and not file.exists():
                target = str(file.readlink()).partition(".git/annex/")[2]
                file.unlink()
                file.symlink_to("../" * path.count("/") + ".git/annex/" + target)

    def _tidy(self) -> None:
        """git keeps no empty folders."""
        for folder, names, files in os.walk(self.folder, topdown=False):
            if ".git" not in Path(folder).relative_to(self.folder).parts and not names and not files:
                Path(folder).rmdir()


def _above(folder: str) -> list[str]:
    return [str(parent) for parent in Path(folder).parents if str(parent) != "."]
