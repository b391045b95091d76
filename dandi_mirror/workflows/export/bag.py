"""Write a version as a bag: a folder that appears when it is complete; with its files, or with a list of their URLs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.content.single import ByteCounter
from dandi_mirror.archive.names import Name
from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.export.bag import PAYLOAD, tag_files
from dandi_mirror.files.own import OwnPath
from dandi_mirror.files.target import TargetFolder
from dandi_mirror.mirror.contents.links import urls
from dandi_mirror.mirror.fetch.download_plan import PARTIALS, DownloadResult, plan_download
from dandi_mirror.mirror.fetch.plain_files import download_files
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk
from dandi_mirror.workflows.access import tokens
from dandi_mirror.workflows.export.export import NO_SHA256, PROGRAM, Exported
from dandi_mirror.workflows.export.source import describe

if TYPE_CHECKING:
    from dandi_mirror.export.version import ExportVersion
    from dandi_mirror.workflows.export.source import ExportSource
    from dandi_mirror.workflows.results import Results


def export_bag(source: ExportSource, path: Path, results: Results, *, payload: bool, jobs: int) -> Exported:
    """Write a bag; with ``payload`` its files come into it, else it lists where they are.

    Until it is complete, it is in a hidden folder beside ``path``, where the next run for the same state goes on.

    Raises:
        PartError: some of the files did not come.
        DiskError: the bag cannot be written.
    """
    version = describe(source).without_zarrs(NO_SHA256)
    made = OwnPath(path.parent, (f".{path.name}.{version.citation.commit[:12]}.part",))
    try:
        if not payload:
            made.clear()
        made.make_folder()
        with TargetFolder(made.path) as folder:
            folder.write(f"{PAYLOAD}/{DANDISET_YAML}", version.yaml)
            if payload:
                _bring(source, version, made.path, results, jobs)
            _finish(folder, version, holey=not payload)
        made.path.rename(path)
        bring_folders_to_disk({str(path.parent)})
    except OSError as error:
        raise DiskError.of(path, error) from error
    size = sum(file.size for file in version.files)
    return Exported(version.dandiset, version.version, path, len(version.files), size, version.left_out)


def _finish(folder: TargetFolder, version: ExportVersion, *, holey: bool) -> None:
    names = [f"{PAYLOAD}/{DANDISET_YAML}"]
    for name, content in tag_files(version, PROGRAM, holey=holey):
        folder.write(name, content)
        names.append(name)
    bring_files_to_disk([str(folder.top / name) for name in names])
    bring_folders_to_disk({str(folder.top), str(folder.top / PAYLOAD)})


def _bring(source: ExportSource, version: ExportVersion, bag: Path, results: Results, jobs: int) -> None:
    """Bring the files of a version into a bag: from this machine, else from where they are; each is verified.

    Raises:
        PartError: some did not come.
    """
    folder, wanted = bag / PAYLOAD, {file.path for file in version.files}
    contents = replace(
        source.contents, dandiset="", files=[file for file in source.contents.files if file.path in wanted]
    )
    # what an earlier run has left is compared by its content
    plan = plan_download(Name(""), contents, folder, "overwrite-different", {})
    access = tokens.content_access(source.settings.instance, Allowed.named(source.api, source.hosts))
    meter, names = ByteCounter(results.waiting), [file.path for file, _ in plan.wanted]
    failed = [done for done in plan.settled if done.exit_code]
    with results.progress(names, plan.size, lambda: meter.received):
        come = download_files(plan, contents, urls(contents, source.content_hosts), folder, access, meter, jobs)
        failed += [done for done in come if done.exit_code]
    shutil.rmtree(folder / PARTIALS, ignore_errors=True)
    if failed:
        raise _incomplete(failed, bag)


def _incomplete(failed: list[DownloadResult], bag: Path) -> PartError:
    first, more = failed[0], f", and {len(failed) - 1:,} more" if len(failed) > 1 else ""
    return PartError(
        f"{first.file.path}: {first.message}{more}; the bag is not complete; what has come is kept in {bag}: "
        "run it again"
    )
