"""An organization with two projects: each page shows whose a thing is, lets a project be chosen, and acts in it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.fixtures.portal import World
from tests.fixtures.second_project import SecondProject, add_second_project

PAGES = ("/", "/services", "/playground", "/sovereignty", "/keys", "/keys/new", "/services/new")


@pytest.fixture(scope="module")
def second(world: World) -> SecondProject:
    return add_second_project(world)


@pytest.mark.case("S10")
@pytest.mark.parametrize(
    "path", ["/", "/services", "/playground", "/sovereignty", "/keys", "/keys/new", "/services/new"]
)
def test_every_page_with_things_of_projects_names_them(
    world: World, second: SecondProject, path: str
) -> None:
    del second
    with world.signed_in(world.tenant.secret) as visitor:
        page = visitor.get(path)
        if path == "/keys":
            assert "All projects" in page
        else:
            assert "second" in page
            assert "default" in page


@pytest.mark.case("S10")
@pytest.mark.parametrize("path", ["/services", "/playground", "/sovereignty"])
def test_a_list_shows_the_project_that_was_chosen(world: World, second: SecondProject, path: str) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        chosen = visitor.get(f"{path}?project={second.project['id']}")
        assert second.service["id"] in chosen
        assert world.service["id"] not in chosen
        everything = visitor.get(f"{path}?project=prj_{'0' * 26}")
        assert world.service["id"] in everything


@pytest.mark.case("S10")
def test_a_service_says_its_project(world: World, second: SecondProject) -> None:
    with world.signed_in(world.tenant.secret) as visitor:
        for service, project in ((second.service, "second"), (world.service, "default")):
            assert f"Project <strong>{project}</strong>" in visitor.get(f"/services/{service['id']}")


@pytest.mark.case("S10")
def test_a_new_app_is_made_in_the_chosen_project(world: World, second: SecondProject) -> None:
    path = f"/services/new?project={second.project['id']}"
    with world.signed_in(world.tenant.secret) as visitor:
        assert f'value="{second.project["id"]}" selected' in visitor.get(path)
        answer = visitor.send(
            path, "/services/new", app_id="new", app_name="fresh", project_id=second.project["id"], name="third",
            model="smollm2-135m-instruct", min="0", max="1", idle_seconds="300", countries="FR",
        )  # fmt: skip
        assert answer.status_code == 303, answer.text
        made = answer.headers["location"].partition("?")[0].rpartition("/")[2]
    found = world.fleet.get(f"/v1/services/{made}")["service"]
    assert found["project_id"] == second.project["id"]


@pytest.fixture
def heads() -> Iterator[tuple[str, list[str]]]:
    """A gateway's stand-in: its address, and the head of every call."""
    seen: list[str] = []
    answer = b'{"choices": [{"message": {"content": "yes"}}]}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    reply += b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                seen.append(client.recv(65536).decode().partition("\r\n\r\n")[0])
                client.sendall(reply)
                client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.case("S10")
def test_try_it_calls_in_the_services_own_project(
    world: World, second: SecondProject, heads: tuple[str, list[str]]
) -> None:
    url, seen = heads
    with world.signed_in(world.tenant.secret, gateway_url=url) as visitor:
        for service in (second.service, world.service):
            path = f"/services/{service['id']}/playground"
            for where in (path, f"{path}/stream"):
                assert visitor.send(path, where, prompt="hello", max_tokens="8").status_code == 200
                head = seen[-1].lower()
                assert f"host: {service['host']}".lower() in head
                assert f"openai-project: {service['project_id']}".lower() in head
