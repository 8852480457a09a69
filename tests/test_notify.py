"""The webhook notifier: what it posts, that nothing stops or delays a run, that the URL is written nowhere."""

import json
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from jsonargparse.typing import SecretStr
from tiny import TinyData, TinyTask, trainer

import cli
from callbacks.notify import VARIABLE, WebhookNotifier
from experiments.results.request import request_from_command


class Hook:
    """A server on this machine that keeps what it is posted."""

    def __init__(self, status=200, wait=0.0):
        self.received, self.paths = [], []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                time.sleep(wait)
                hook.paths.append(self.path)
                hook.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/secret-token"


@pytest.fixture
def hook(request):
    made = Hook(**getattr(request, "param", {}))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def fit(folder, notifier, epochs=3, lr=0.05, **options):
    """A run with the notifier; what it warned."""
    torch.manual_seed(0)
    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=lr))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = trainer(folder, epochs=epochs, callbacks=[notifier], **options)
        run.fit(task, datamodule=TinyData())
        notifier.close()
    return [str(w.message) for w in caught if "WebhookNotifier" in str(w.message)]


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_best_and_end_are_told(hook, by, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if by == "environment":
        monkeypatch.setenv(VARIABLE, hook.url)
    notifier = WebhookNotifier(SecretStr(hook.url) if by == "argument" else None)
    assert fit(tmp_path / "run", notifier) == []
    *best, end = hook.received
    assert set(hook.paths) == {"/hook/secret-token"}
    assert best
    assert {message["event"] for message in best} == {"best"}
    assert best[0]["epoch"] == 1
    scores = [message["metrics"]["val_score"] for message in best]
    assert scores == sorted(set(scores))
    assert (end["event"], end["status"], end["epoch"], end["run"]) == ("end", "finished", 3, "run")
    assert {"val_accuracy", "val_loss", "train_loss"} <= set(end["metrics"])


def test_an_epoch_that_is_no_better_is_not_told(hook, tmp_path):
    fit(tmp_path, WebhookNotifier(SecretStr(hook.url)), lr=0.0)
    assert [message["event"] for message in hook.received] == ["best", "end"]


def test_a_resumed_run_does_not_tell_of_an_old_best(hook, tmp_path):
    fit(tmp_path, WebhookNotifier(SecretStr(hook.url)), epochs=1, lr=0.0)
    task = TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    again = WebhookNotifier(SecretStr(hook.url))
    checkpoint = next((tmp_path / "checkpoints").glob("*.ckpt"))
    trainer(tmp_path, epochs=2, callbacks=[again]).fit(task, datamodule=TinyData(), ckpt_path=checkpoint)
    again.close()
    assert [message["event"] for message in hook.received] == ["best", "end", "end"]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("no"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_a_run_that_breaks_off_tells_so(hook, error, status, tmp_path):
    class Broken(TinyTask):
        def training_step(self, batch, batch_idx):
            if self.current_epoch == 1:
                raise error
            return super().training_step(batch, batch_idx)

    notifier = WebhookNotifier(SecretStr(hook.url))
    task = Broken(optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    with pytest.raises((RuntimeError, SystemExit)):
        trainer(tmp_path, callbacks=[notifier]).fit(task, datamodule=TinyData())
    notifier.close()
    assert (hook.received[-1]["event"], hook.received[-1]["status"]) == ("end", status)
    assert hook.received[-1]["epoch"] == 1


@pytest.mark.parametrize("hook", [{"status": 500}], indirect=True)
def test_a_refusal_is_one_warning_without_the_url_and_no_more_is_sent(hook, tmp_path):
    (warned,) = fit(tmp_path, WebhookNotifier(SecretStr(hook.url)))
    assert "HTTPError 500" in warned
    assert "secret-token" not in warned
    assert len(hook.received) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/secret", "http://no such host/", "http://[", "https://127.0.0.1:9"]
)
def test_what_cannot_be_reached_is_one_warning(url, tmp_path):
    warned = fit(tmp_path, WebhookNotifier(SecretStr(url)))
    assert len(warned) == 1


@pytest.mark.parametrize("url", [None, "", "file:///etc/hostname", "somewhere", ["https://host.org"]])
def test_no_usable_url_is_one_warning_and_no_thread(url, tmp_path):
    notifier = WebhookNotifier(None if url is None else SecretStr(url))
    (warned,) = fit(tmp_path, notifier)
    assert VARIABLE in warned
    assert notifier._thread is None


@pytest.mark.parametrize("hook", [{"wait": 30.0}], indirect=True)
def test_a_slow_server_delays_nothing_but_the_end_and_that_by_the_timeout(hook, tmp_path):
    notifier = WebhookNotifier(SecretStr(hook.url), timeout=0.5)
    before = time.perf_counter()
    trainer(tmp_path, epochs=3, callbacks=[notifier]).fit(
        TinyTask(optimizer=lambda p: torch.optim.SGD(p, lr=0.05)), datamodule=TinyData()
    )
    notifier.close()
    assert time.perf_counter() - before < 15  # one answer alone would take 30


def test_a_checkpoint_that_is_scored_again_is_no_news(hook, tmp_path):
    notifier = WebhookNotifier(SecretStr(hook.url))
    trainer(tmp_path, callbacks=[notifier]).validate(TinyTask(), datamodule=TinyData(), verbose=False)
    assert notifier._thread is None


def test_other_ranks_say_nothing(hook, tmp_path, monkeypatch):
    notifier = WebhookNotifier(SecretStr(hook.url))
    run = trainer(tmp_path, callbacks=[notifier])
    monkeypatch.setattr(type(run), "is_global_zero", False)
    notifier.on_fit_end(run, TinyTask())
    assert notifier._thread is None
    assert hook.received == []


def test_through_the_command_line_the_url_is_written_nowhere(hook, ravdess, tmp_path):
    words = ["fit", "--config", "experiments/ravdess_audio.yaml", "--data.root", str(ravdess)]
    words += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    added = f"{{class_path: WebhookNotifier, init_args: {{url: '{hook.url}'}}}}"
    with_hook = [*words, f"--trainer.callbacks+={added}", "--trainer.default_root_dir", str(tmp_path / "run")]
    assert cli.main(with_hook) == 0
    deadline = time.perf_counter() + 10
    while len(hook.received) < 2 and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert [message["event"] for message in hook.received] == ["best", "end"]
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"config.yaml", "request.json", "result.json"} <= {path.name for path in written}
    assert not [path for path in written if b"secret-token" in path.read_bytes()]
    asked = [request_from_command(command[1:], corpus="ravdess") for command in (words, with_hook)]
    assert asked[0] == asked[1]  # a run that is watched is the same run
