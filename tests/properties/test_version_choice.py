"""Which published versions a sync reads, whatever the archive lists and the dataset has."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import NOTHING
from dandi_mirror.mirror.sync.dandiset import dropped_hosts, needed_mode
from dandi_mirror.mirror.sync.version_choice import choose_versions, version_to_follow
from dandi_mirror.model import Finding, FindingKind, Instance, ListedVersion
from tests.support.values import QUICK

THEN = datetime(2024, 1, 2, tzinfo=UTC)
NAMES = [f"0.24010{day}.0000" for day in range(1, 7)]
OLD, MIDDLE, NEW = NAMES[:3]


def version(name: str, status: str = "Valid") -> ListedVersion:
    return ListedVersion(name, "A test", 1, 2, status, THEN, THEN)


LISTED = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["Valid", "Published", "Pending", "Validating", "Publishing"])),
    unique_by=lambda pair: pair[0],
).map(lambda pairs: [version(*pair) for pair in sorted(pairs)])
OPTIONS = st.builds(
    Options,
    versions=st.sampled_from(["all", "published", "latest", "draft"]),
    mode=st.sampled_from(["auto", "force", "verify"]),
    accepted=st.frozensets(st.sampled_from(NAMES)),
)
SOME = st.sets(st.sampled_from(NAMES))


@given(LISTED, st.sampled_from(["", *NAMES]), SOME, st.sampled_from(["", "draft", *NAMES]), OPTIONS)
@QUICK
def test_a_sync_reads_what_has_no_tag_yet_and_never_what_the_archive_has_not_finished(
    listed: list[ListedVersion], newest: str, tags: set[str], followed: str, options: Options
) -> None:
    choice = choose_versions(listed, newest, tags, followed, options)
    asked = {"draft": [], "latest": listed[-1:]}.get(options.versions, listed)
    finished = [entry for entry in asked if entry.status in {"Valid", "Published"}]
    assert list(choice.settled) == finished
    assert [entry for entry in finished if entry in choice.to_read] == list(choice.to_read), "in the archive's order"
    untagged = {entry.version for entry in finished if entry.version not in tags or entry.version in options.accepted}
    read = {entry.version for entry in choice.to_read}
    assert untagged <= read
    if options.mode == "verify":
        assert choice.to_read == choice.settled
    elif options.branch == "draft":
        assert read == untagged
    else:
        assert read - untagged <= {finished[-1].version for _ in finished[:1]} - {followed}
    held = {finding.version for finding in choice.findings if finding.kind is FindingKind.HELD}
    assert {entry.version for entry in asked} - {entry.version for entry in finished} <= held
    gone = {finding.version for finding in choice.findings if finding.kind is FindingKind.VANISHED}
    assert gone == (set() if options.versions == "draft" else tags - {entry.version for entry in listed})


def test_a_newest_version_that_is_not_listed_is_reported_once_and_not_if_it_is_tagged() -> None:
    held = Finding(
        NEW, "", FindingKind.HELD, "the archive calls it the newest version and does not list it among the versions"
    )
    assert choose_versions([version(OLD)], NEW, {OLD}, "draft", Options()).findings == (held,)
    vanished = choose_versions([version(OLD)], NEW, {OLD, NEW}, "draft", Options()).findings
    assert [(finding.version, finding.kind) for finding in vanished] == [(NEW, FindingKind.VANISHED)]


def test_the_newest_version_is_read_again_while_the_branch_of_versions_has_an_older_one() -> None:
    listed, options = [version(OLD), version(NEW)], Options(versions="published")
    assert [entry.version for entry in choose_versions(listed, NEW, {OLD, NEW}, OLD, options).to_read] == [NEW]
    assert choose_versions(listed, NEW, {OLD, NEW}, NEW, options).to_read == ()
    assert choose_versions(listed, NEW, {OLD, NEW}, OLD, Options()).to_read == (), "the branch follows the draft"


@pytest.mark.parametrize(
    ("followed", "ready", "expected"),
    [
        ("", {OLD, MIDDLE}, MIDDLE), (OLD, {MIDDLE, NEW}, NEW), (NEW, {OLD, MIDDLE}, ""), (NEW, {OLD, NEW}, NEW),
        ("0.200101.0000", {OLD}, OLD), (MIDDLE, set(), ""), (MIDDLE, {MIDDLE}, MIDDLE),
    ],
)  # fmt: skip
def test_the_branch_follows_the_newest_version_that_is_ready_and_never_goes_back(
    followed: str, ready: set[str], expected: str
) -> None:
    assert version_to_follow([version(OLD), version(MIDDLE), version(NEW)], followed, ready) == expected


GONE = NOTHING._replace(findings=(Finding("", "", FindingKind.GONE, "gone"),))


@pytest.mark.parametrize("asked", ["auto", "force", "verify"])
@pytest.mark.parametrize(
    ("then", "hosts", "at_least"),
    [
        (None, {"a"}, "auto"), (NOTHING, set(), "auto"), (NOTHING._replace(content_hosts="a b"), {"b", "a"}, "auto"),
        (NOTHING, {"a"}, "verify"), (NOTHING._replace(content_hosts="a"), set(), "verify"),
        (GONE, set(), "force"), (GONE, {"a"}, "verify"),
    ],
)  # fmt: skip
def test_other_content_hosts_have_every_version_read_again_and_a_return_has_the_draft_read_again(
    asked: str, then: object, hosts: set[str], at_least: str
) -> None:
    modes = ["auto", "force", "verify"]
    needed = needed_mode(Options(mode=asked, hosts=frozenset(hosts)), then)  # type: ignore[arg-type]
    assert needed == max(asked, at_least, key=modes.index)


def test_a_host_is_dropped_that_the_settings_name_no_more_and_that_is_not_admitted_anyway() -> None:
    then = NOTHING._replace(content_hosts="a.example b.example bucket.s3.amazonaws.com")
    instance = Instance("DANDI", "https://api.example.org/api")
    assert dropped_hosts(instance, Options(hosts=frozenset({"b.example"})), then) == {"a.example"}
    assert dropped_hosts(instance, Options(), None) == frozenset()
