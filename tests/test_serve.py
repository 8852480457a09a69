"""The page's server without a browser: answers as JSON, limits, and that nothing of a clip stays."""

import base64
import importlib.metadata
import re
import socket
import subprocess
import sys
import threading
import time
from fractions import Fraction
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

pytest.importorskip("gradio", reason="gradio is not installed here: `make web` installs it")

import av
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from serving import ROOT, files_below, film, server, small_run
from starlette.testclient import TestClient

import cli
from experiments.predict.loaded.answer import Answer
from experiments.predict.loaded.model import Model
from experiments.serve.asked.held import Clip, Part, Shelf
from experiments.serve.asked.limits import Limits
from experiments.serve.asked.said import Said, html_of, html_of_problem
from experiments.serve.asked.service import Service
from experiments.serve.guard import Guard
from experiments.serve.page import _html, _plain
from experiments.serve.server import application


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def model(made):
    return Model(made[1])


@pytest.fixture(scope="module")
def clip(made):
    return next(iter(sorted(made[0].glob("Actor_03/*.mp4"))))


def client_of(model, folder, **limits):
    service = Service({"small": model, "again": model}, Limits(**limits), folder)
    return service, TestClient(application(service), base_url="http://127.0.0.1", raise_server_exceptions=True)


@pytest.fixture
def asked(model, tmp_path):
    service, client = client_of(model, tmp_path)
    with client:
        yield service, client
    assert not list(service.clips.iterdir())


def upload(client, path, name=None, where="/answer", kind=None, **told):
    content = path if isinstance(path, bytes) else path.read_bytes()
    file = (name or path.name, content, kind) if kind else (name or path.name, content)
    return client.post(where, files={"file": file}, data=told)


PINS = ("constraints.txt", "constraints-web.txt")


def pins(name):
    lines = (line.split(";") for line in (ROOT / name).read_text().splitlines() if line and line[0] != "#")
    return dict(line[0].strip().split("==") for line in lines if len(line) == 1)


def test_the_page_changes_no_version_of_the_rest():
    rest, page = ({canonicalize_name(name): of for name, of in pins(file).items()} for file in PINS)
    assert not rest.keys() & page.keys()
    wanted = [Requirement(of) for name in page for of in importlib.metadata.requires(name) or ()]
    wanted = [of for of in wanted if not of.marker or of.marker.evaluate({"extra": ""})]
    assert {"pillow", "numpy", "pandas", "pydantic"} <= {of.name for of in wanted}
    for name in {*page, *(canonicalize_name(of.name) for of in wanted)}:
        assert importlib.metadata.version(name) == {**rest, **page}[name], name
    broken = [of.name for of in wanted if not of.specifier.contains(importlib.metadata.version(of.name))]
    assert set(broken) == {"pillow"}  # which is why pip may not look


def test_an_answer_is_that_of_python(asked, model, clip):
    found = upload(asked[1], clip)
    assert found.status_code == 200
    first, second = found.json()["answers"]
    assert first["probabilities"] == model({"file": clip, "end": None}).probabilities or "video" in first["missing"]
    assert (first["model"], second["model"]) == ("small", "again")
    assert first["probabilities"] == second["probabilities"]
    assert first["synthetic"]
    assert first["seconds"] > 3
    assert first["file"] == clip.name


def test_a_modality_that_is_off_is_as_one_that_never_was(asked, model, tmp_path):
    title, path = next(iter(asked[0].examples.items()))
    whole = asked[1].post("/answer", data={"example": title}).json()["answers"][0]
    assert not whole["missing"]
    assert whole["probabilities"] == model(path).probabilities
    deaf = asked[1].post("/answer", data={"example": title, "without": "audio"}).json()["answers"][0]
    blind = asked[1].post("/answer", data={"example": title, "without": "video"}).json()["answers"][0]
    assert deaf["missing"] == {"audio": "switched off"}
    bare = tmp_path / path.name  # without its landmarks
    bare.write_bytes(path.read_bytes())
    assert blind["probabilities"] == model(bare).probabilities != whole["probabilities"]
    assert whole["changes"]["audio"]["probabilities"] == deaf["probabilities"]
    assert whole["changes"]["video"]["probabilities"] == blind["probabilities"]
    none = asked[1].post("/answer", data={"example": title, "without": "audio,video"})
    assert (none.status_code, "switched off" in none.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"without": "smell"}, "without smell: the modalities are video, audio"),
        ({"age": "young"}, "age: nothing of that name is read here"),
        ({"text": "hello"}, "text: nothing of that name is read here"),
        ({"example": "none"}, "example: there are SYNTHETIC"),
        ({"file": "clip.mp4"}, "file: give a file"),
        ({}, "no clip and no text"),
    ],
)
def test_what_cannot_be_asked_is_one_line(asked, told, message):
    found = asked[1].post("/answer", data=told)
    assert found.status_code == 422
    assert message in found.json()["error"]
    assert "\n" not in found.json()["error"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.mp4", b"\0" * 5000, "broken.mp4: not a media file"),
        ("empty.wav", b"", "empty.wav: empty file"),
        ("../../etc/passwd", b"root", "passwd: neither video, sound nor picture"),
        ("list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", "a list of other files"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "picture.png: "),
    ],
)
def test_a_file_that_cannot_be_read_is_a_message(asked, tmp_path, name, content, message):
    for where in ("/answer", "/clips"):
        found = upload(asked[1], content, name, where)
        assert found.status_code == 422
        assert message in found.json()["error"]
        assert str(tmp_path) not in found.text
        assert not list(asked[0].clips.iterdir())


def test_what_a_browser_records_is_read(asked, tmp_path):
    """Without a duration, whatever it is called; the model was asked for a face and finds none."""
    path = film(tmp_path / "recording.webm")
    with av.open(str(path)) as file:
        assert file.duration is None
    (first, _) = upload(asked[1], path).json()["answers"]
    assert first["seconds"] == pytest.approx(4, abs=0.1)
    assert list(first["missing"]) == ["video"]
    (other, _) = upload(asked[1], path, "blob", kind="audio/webm").json()["answers"]
    assert other["probabilities"] == first["probabilities"]


def test_too_large_and_too_long_are_refused(model, tmp_path):
    path = film(tmp_path / "recording.webm")
    service, client = client_of(model, tmp_path, seconds=3.0, megabytes=1)
    with client:
        found = upload(client, path)
        assert (found.status_code, found.json()["error"]) == (
            422, "recording.webm: lasts longer than 3 s, which is the most that is taken here"
        )  # fmt: skip
        big = b"\0" * 3_000_000
        assert upload(client, big, "big.mp4").status_code == 413
        parts = (big[place : place + 65536] for place in range(0, len(big), 65536))  # of no length that is told
        head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="big.mp4"\r\n\r\n'
        found = client.post(
            "/answer",
            content=(part for part in (head, *parts)),
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
        assert (found.status_code, "larger than 1 MB" in found.json()["error"]) == (413, True)
        assert not list(service.clips.iterdir())


def test_beyond_those_who_may_wait_it_is_busy(model, tmp_path):
    service, client = client_of(model, tmp_path, waiting=1, patience=20)
    free = threading.Event()
    service.desk.submit(free.wait)
    with client:
        said = []

        def ask():
            return said.append(client.post("/answer", data={"example": next(iter(service.examples))}))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        busy = client.post("/answer", data={"example": "any"})
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
        assert busy.json()["error"].startswith("busy")
        assert "busy" in _html(service, ("", "hello", ["audio"]), lambda share, title: None)
        free.set()
        for thread in threads:
            thread.join()
    assert [one.status_code for one in said] == [200, 200]


def test_nobody_waits_longer_than_a_while(model, tmp_path):
    service, client = client_of(model, tmp_path, patience=0.3)
    free = threading.Event()
    service.desk.submit(free.wait)
    with client:
        assert client.post("/answer", data={"example": next(iter(service.examples))}).status_code == 504
    free.set()


@pytest.mark.parametrize("on_the_page", [True, False])
def test_a_job_that_goes_on_for_too_long_keeps_nobody_waiting(model, tmp_path, monkeypatch, on_the_page):
    """Its client is told, the next ones at once; who waited behind it costs nothing later; afterwards all is well."""
    service, client = client_of(model, tmp_path, patience=0.5)
    free, begun, answers = threading.Event(), [], service.answers

    def slow(*args):
        begun.append(args)
        free.wait(30)
        return answers(*args)

    monkeypatch.setattr(service, "answers", slow)
    told = {"example": next(iter(service.examples))}

    def ask():
        if on_the_page:
            return _html(service, ("", "hello", ["audio"]), lambda share, title: None)
        return client.post("/answer", data=told).text

    with client:
        said = []
        threads = [threading.Thread(target=lambda: said.append(ask())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all("took too long" in one for one in said)
        busy, began = client.post("/answer", data=told), time.perf_counter()
        assert (busy.status_code, "takes too long" in busy.json()["error"]) == (503, True)
        assert "takes too long" in _html(service, ("", "hello", ["audio"]), lambda share, title: None)
        assert time.perf_counter() - began < 0.3
        free.set()
        service.desk.submit(int).result(30)
        assert len(begun) == 1
        service.limits = Limits()
        assert client.post("/answer", data=told).status_code == 200


def test_a_film_of_more_pictures_than_cameras_take_is_refused(asked, tmp_path):
    """The same picture again and again: small, short by its times, and long to decode."""
    path = tmp_path / "still.webm"
    with av.open(str(film(tmp_path / "film.webm", seconds=1, sound=False))) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size][:2]
    with av.open(str(path), "w", format="webm") as file:
        stream = file.add_stream("libvpx", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for place in range(7300):
            packet = av.Packet(packets[min(place, 1)])
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 1000), place == 0
            packet.pts = packet.dts = place
            file.mux(packet)
    found = upload(asked[1], path)
    assert found.status_code == 422
    assert found.json()["error"] == "still.webm: has more than 7200 pictures, the most that are taken here"


def test_a_bug_is_told_without_words_of_the_clip(asked, monkeypatch, caplog, capfd, clip):
    def fail(*args, **kwargs):
        raise KeyError("what she said in private")

    monkeypatch.setattr("experiments.serve.asked.service.answer_about", fail)
    found = upload(asked[1], clip, "her-name.mp4")
    assert found.status_code == 422
    assert "it failed" in found.json()["error"]
    assert "KeyError" in caplog.text
    said = caplog.text + "".join(capfd.readouterr())
    assert "private" not in said
    assert "her-name" not in said


def test_the_page_asks_about_a_clip_that_is_held(asked, clip):
    service, client = asked
    kept = client.post("/clips", data={"example": "SYNTHETIC, happy"}).json()

    def no_bar(share, title):
        return None

    page = _html(service, (kept["token"], "", ["video", "audio"]), no_bar)
    assert "without audio" in page
    assert "data:image/png;base64," in page
    assert "SYNTHETIC" in page
    assert "switched off" in _html(service, (kept["token"], "", ["video"]), no_bar)
    client.post("/let-go", content=kept["token"])
    assert "no longer kept" in _html(service, (kept["token"], "", ["video"]), no_bar)
    assert "no clip and no text" in _html(service, ("", "", ["video"]), no_bar)


def test_clips_are_kept_for_a_while_and_not_too_many():
    part = Part((), ((None, SimpleNamespace(arrays={"video": np.zeros(600_000, np.uint8)})),))
    shelf = Shelf(0.2, 1)
    first, second = shelf.put(Clip("a", 1, (part,))), shelf.put(Clip("b", 1, (part,)))
    assert shelf.get(first) is None
    assert shelf.get(second).name == "b"
    shelf.expire()
    assert len(shelf) == 1
    time.sleep(0.3)
    shelf.expire()
    assert len(shelf) == 0


def test_a_field_without_values_is_not_asked_for(model, tmp_path):
    """As that of a model of clips of which nothing was known besides."""
    knows = SimpleNamespace(fields={"nothing": [], "age": ["young"]}, modalities=["meta"], reader=model.reader)
    assert Service({"a": model, "b": knows}, Limits(), tmp_path).fields == {"age": ["young"]}


def test_models_and_examples_are_told(asked):
    told = asked[1].get("/models").json()["small"]
    assert told["reads"] == ["video", "audio"]
    assert any("SYNTHETIC" in line for line in told["legend"])
    assert len(asked[1].get("/examples").json()) == len(asked[0].examples)


@pytest.fixture
def guarded(model, tmp_path):
    service = Service({"small": model}, Limits(), tmp_path)
    with TestClient(Guard(application(service), ("127.0.0.1", "localhost")), base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_loads_nothing_from_elsewhere(guarded):
    page = guarded.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    theme = guarded.get("/theme.css").text
    assert not re.search(r"url\([\"']?(?:https?:)?//|@import", theme)
    assert guarded.get("/config").json()["analytics_enabled"] is False


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "elsewhere.example"}, 403),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "localhost:80"}, 200),
        ({"origin": "http://127.0.0.1"}, 200),
    ],
)
def test_pages_of_other_servers_are_refused(guarded, headers, status):
    assert guarded.get("/models", headers=headers).status_code == status


@pytest.mark.parametrize(
    "path", ["upload", "file=/etc/passwd", "proxy=http://a", "stream/a", "component_server", "api/x"]
)
def test_what_gradio_takes_and_gives_besides_is_not_served(guarded, path):
    assert guarded.post(f"/gradio_api/{path}").status_code == 404


def test_a_password_is_asked_for(model, tmp_path):
    service = Service({"small": model}, Limits(), tmp_path)
    with TestClient(Guard(application(service), (), "me:pässword"), base_url="http://some.host") as client:
        assert client.get("/models").status_code == 401
        assert client.get("/").headers["www-authenticate"].startswith("Basic")
        for login, status in (("me:pässword", 200), ("me:other", 401), ("", 401)):
            code = base64.b64encode(login.encode()).decode()
            assert client.get("/models", headers={"authorization": f"Basic {code}"}).status_code == status
        assert client.get("/models", headers={"authorization": "Basic %%%"}).status_code == 401


def test_an_address_in_a_request_is_not_fetched(asked):
    from gradio import processing_utils

    with pytest.raises(ValueError, match="nothing is fetched"):
        processing_utils.ssrf_protected_download("https://example.org/clip.mp4", "/tmp")


def test_names_of_anybody_are_escaped():
    evil = "<img src=x onerror=alert(1)>"
    model = SimpleNamespace(about={"calibration": {"threshold": 0.9}}, outputs={})
    course = tuple({"start": at, "end": at + 1, "probabilities": {evil: 0.5}} for at in range(3))
    answer = Answer(evil, evil, {evil: 0.5}, 0.4, True, missing={evil: evil}, over_time=course, weights={evil: 1.0})
    page = html_of([Said(evil, model, answer), Said("b", model, Answer(evil, problem=evil))]) + html_of_problem(evil)
    assert "<img src=x" not in page
    assert page.count("&lt;img") > 5
    assert "unsure: below 90.0 %" in page
    assert page.count("<polyline") == 1
    assert _plain("[a](http://b) <b>") == r"\[a\]\(http://b\) \<b\>"


@pytest.fixture(scope="module")
def served(made, tmp_path_factory):
    with server(tmp_path_factory.mktemp("server"), "--ckpt_path", made[1], "--waiting", "3") as found:
        yield found


def test_a_client_that_goes_leaves_nothing(served):
    url, folder, log = served
    head = (
        b"POST /answer HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 900000\r\n"
        b"content-type: multipart/form-data; boundary=x\r\n\r\n"
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="private-name.mp4"\r\n\r\n'
    )
    for _ in range(6):  # more than may wait: a place that nobody gives back would be missed
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as line:
            line.sendall(head + b"\0" * 400_000)
            time.sleep(0.1)
    time.sleep(0.5)
    assert files_below(folder) == []
    assert httpx.post(f"{url}/answer", data={"example": "SYNTHETIC, sad"}, timeout=60).status_code == 200
    assert httpx.post(f"{url}/answer", files={"file": ("private-name.mp4", b"no")}, timeout=60).status_code == 422
    assert files_below(folder) == []
    assert "private-name" not in log.read_text()


def test_many_at_once_are_answered_or_told_that_it_is_busy(served):
    url, folder, _ = served
    found = []

    def ask():
        return found.append(httpx.post(f"{url}/answer", data={"example": "SYNTHETIC, sad"}, timeout=120).status_code)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {200, 503}
    assert files_below(folder) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ckpt_path", "nowhere"], "nowhere"),
        (["--ckpt_path", "nowhere", "--port", "99999"], "--port 99999"),
        (["--ckpt_path", "nowhere", "--login", "nowhere.txt"], "--login nowhere.txt"),
        (["--ckpt_path", "nowhere", "--megabytes", "0"], "--megabytes 0"),
        ([], "--ckpt_path"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_line(words, message, capsys):
    assert cli.main(["serve", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_port_that_is_taken_and_a_login_of_another_kind_are_told(capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.main(["serve", "--ckpt_path", "x", "--port", str(taken.getsockname()[1])]) == 2
    assert "in use" in capsys.readouterr().err
    monkeypatch.setenv("AFFECTZOO_LOGIN", "nocolon")
    assert cli.main(["serve", "--ckpt_path", "x"]) == 2
    assert "AFFECTZOO_LOGIN: it is not user:password" in capsys.readouterr().err


def test_other_machines_are_let_in_with_a_warning_and_the_folder_is_gone_when_it_ends(made, tmp_path):
    with server(tmp_path, "--ckpt_path", made[1], "--host", "0.0.0.0") as (url, folder, log):
        assert httpx.get(url.replace("0.0.0.0", "127.0.0.1"), headers={"host": "any.name"}).status_code == 200
    told = "warning: --host 0.0.0.0 lets other machines in; anybody there may ask: set AFFECTZOO_LOGIN or --login"
    assert log.read_text().strip() == told
    assert not [path for path in folder.iterdir() if path.is_dir()]
    assert files_below(folder) == []


def test_without_gradio_it_says_what_to_do(tmp_path):
    code = "import sys, importlib.util as u; f = u.find_spec\n"
    code += "u.find_spec = lambda n, *a: None if n == 'gradio' else f(n, *a)\n"
    code += "import cli; sys.exit(cli.main(['serve', '--ckpt_path', 'x']))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert "make web" in found.stderr
