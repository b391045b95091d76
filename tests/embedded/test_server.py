"""Pages, errors and redirects, and the door that tests have."""

from __future__ import annotations

import pytest
import requests
from starlette.responses import PlainTextResponse, Response

from dandi_mirror.embedded import Archive, Dandiset, Request, Server, serve
from tests.support.asking import Clock, get, paths_of, seed

# --- pages


def test_count_of_an_asset_list_is_null_after_page_1(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, *(f"f{number}" for number in range(5)))
    url = f"{server.api_url}/dandisets/000004/versions/draft/assets/?page_size=2"
    counts, found = [], []
    while url:
        page = get(server, url).json()
        counts.append(page["count"])
        found += [entry["path"] for entry in page["results"]]
        url = page["next"]
    assert counts == [5, None, None]
    assert found == ["f0", "f1", "f2", "f3", "f4"]


def test_asset_page_past_the_end_is_empty_but_a_counted_one_is_refused(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a")
    page = get(server, "/dandisets/000004/versions/draft/assets/?page=9").json()
    assert (page["results"], page["next"]) == ([], None)
    assert get(server, "/dandisets/?page=9").status_code == 404


def test_page_size_is_cut_at_1000(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, *(f"f{number}" for number in range(1001)))
    assert len(paths_of(server, query="page_size=5000")) == 1000


def test_an_asset_deleted_between_pages_hides_another(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, *(f"f{number}" for number in range(6)))
    first = paths_of(server, query="page_size=3")
    dandiset.delete_asset("f0")
    assert first + paths_of(server, query="page_size=3&page=2") == ["f0", "f1", "f2", "f4", "f5"]


# --- errors and redirects


def test_the_error_shapes(server: Server, dandiset: Dandiset) -> None:
    seen = {
        path: get(server, path)
        for path in (
            "/dandisets/999999/",
            "/dandisets/?embargoed=true",
            "/dandisets/?draft=maybe",
            "/dandisets/?search=modfied_after:2020-01-01",
            "/dandisets/12345/",
            "/nope/",
        )
    }
    statuses = [answer.status_code for answer in seen.values()]
    assert statuses == [404, 401, 400, 400, 404, 404]
    detail, bare, field, search, page, unknown = seen.values()
    assert detail.json() == {"detail": "Not found."}
    assert isinstance(bare.json(), str)
    assert field.json() == {"draft": ["Must be a valid boolean."]}
    assert 'Did you mean "modified_after"?' in search.json()["search"]
    assert page.text.strip().startswith("<!doctype html>")
    assert unknown.text == page.text


def test_a_missing_slash_is_a_relative_redirect_with_the_query(server: Server) -> None:
    answer = get(server, "/dandisets?page_size=2")
    assert answer.status_code == 301
    assert answer.headers["location"] == "/api/dandisets/?page_size=2"


def test_a_path_that_ends_in_a_newline_is_not_that_of_an_endpoint(server: Server, dandiset: Dandiset) -> None:
    for path in ("/dandisets/%0A", "/dandisets/000004/%0A", "/dandisets%0A/"):
        answer = get(server, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_bad_token_is_refused_on_public_pages_too(server: Server) -> None:
    answer = get(server, "/dandisets/", token="f" * 40)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token."})
    assert answer.headers["www-authenticate"] == 'Bearer realm="api"'


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dandi_mirror.embedded.serving.app.MOST_BODY", 1000)
        answer = requests.post(f"{server.api_url}/blobs/digest/", data=b" " * 1001)
    assert answer.status_code == 413


def test_api_answers_carry_nothing_to_validate_a_cache_with(server: Server, dandiset: Dandiset) -> None:
    answer = get(server, "/dandisets/000004/", **{"If-None-Match": "*"})
    assert answer.status_code == 200
    assert not {"etag", "last-modified", "cache-control"} & {name.lower() for name in answer.headers}


def test_gzip_can_be_switched_off(archive: Archive, dandiset: Dandiset, server: Server) -> None:
    seed(dandiset, *(f"f{number}" for number in range(9)))
    path = "/dandisets/000004/versions/draft/assets/"
    assert get(server, path).headers["content-encoding"] == "gzip"
    archive.gzip = False
    assert "content-encoding" not in get(server, path).headers


# --- the door for tests


def test_requests_are_noted_in_order(server: Server, dandiset: Dandiset) -> None:
    get(server, "/dandisets/?page_size=2", Marker="x")
    get(server, "/nope/")
    first, second = server.requests
    assert (first.method, first.path, first.query, first.status) == (
        "GET",
        "/api/dandisets/",
        "page_size=2",
        200,
    )
    assert (first.headers["marker"], first.params) == ("x", {"page_size": "2"})
    assert (second.path, second.status) == ("/api/nope/", 404)
    server.requests.clear()
    assert server.requests == []


def test_an_intercepted_request_gets_the_tests_own_answer(server: Server, dandiset: Dandiset) -> None:
    def intercept(request: Request) -> Response | None:
        if request.path.endswith("/info/"):
            return PlainTextResponse("busy", 503, {"Retry-After": "1"})
        seed(dandiset, "late")
        return None

    server.intercept = intercept
    answer = get(server, "/info/")
    assert (answer.status_code, answer.text, server.requests[-1].status) == (503, "busy", 503)
    assert paths_of(server) == ["late"]


def test_two_servers_at_once_do_not_meet(archive: Archive, dandiset: Dandiset) -> None:
    with serve(archive) as one, serve(Archive()) as two:
        assert get(one, "/dandisets/").json()["count"] == 1
        assert get(two, "/dandisets/").json()["count"] == 0
    with pytest.raises(requests.ConnectionError):
        get(one, "/dandisets/")


def test_the_same_seed_gives_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        dandiset = Archive(clock=Clock(), seed=7).create_dandiset("000001")
        seed(dandiset, "a")
        dandiset.publish()
        ids.append((next(iter(dandiset.draft)).metadata, dandiset.published[0].metadata))
    assert ids[0] == ids[1]


def test_a_page_of_a_thousand_rows_is_joined_within_its_budget(server: Server, dandiset: Dandiset) -> None:
    for number in range(1000):
        blob = dandiset.archive.add_blob_record(size=number, sha256=f"{number:064x}", etag="0-1")
        dandiset.add_asset(f"sub-{number}/x.nwb", blob, {"description": "x" * 3000})
    dandiset.archive.gzip = False
    with requests.Session() as session:
        url = f"{server.api_url}/dandisets/000004/versions/draft/assets/?metadata=true&page_size=1000"
        times = []
        for _ in range(5):
            answer = session.get(url)
            times.append(answer.elapsed.total_seconds())
    assert len(answer.json()["results"]) == 1000
    assert min(times) < 0.1
