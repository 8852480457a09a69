"""The page in Chromium with its fake camera and microphone: `pytest -m browser`."""

import shutil
from urllib.parse import urlsplit

import pytest
from serving import files_below, film, server, small_run

pytest.importorskip("gradio", reason="gradio is not installed here: `make web` installs it")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed here")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

ANSWER = ".az-answer"
MINUTE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def served(trained, tmp_path_factory):
    """A server of two models: CFN-SR and one with gates."""
    folder = tmp_path_factory.mktemp("browser")
    _, run = small_run(folder)
    (folder / "served").mkdir()
    with server(folder / "served", "--ckpt_path", run, "--ckpt_path", trained("gated_fusion", "honest")) as found:
        yield found


@pytest.fixture(scope="module")
def chromium():
    words = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=words)
        yield browser
        browser.close()


@pytest.fixture
def open_page(served, chromium):
    """Opens the page for another user; at the end, nobody else was asked and nothing is left."""
    contexts, asked = [], []

    def another(**options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served[0])
        page.wait_for_selector("#az-example option:nth-child(4)", state="attached", timeout=MINUTE)
        return page

    yield another
    outside = [url for url in asked if urlsplit(url).netloc not in (urlsplit(served[0]).netloc, "")]
    assert len(asked) > 20
    assert outside == []
    for context in contexts:
        context.close()
    assert files_below(served[1]) == []


def choose(page, title):
    page.select_option("#az-example", label=title)
    playwright.expect(page.locator("#az-state")).to_contain_text(f"{title}, ", timeout=MINUTE)
    page.wait_for_selector(ANSWER, timeout=MINUTE)


def test_an_example_is_answered_by_two_models_with_weights_and_changes(open_page):
    page = open_page()
    choose(page, "SYNTHETIC, happy")
    assert page.locator(ANSWER).count() == 2
    first, second = page.locator(ANSWER).all_inner_texts()
    assert "Where one more is switched off" in first
    assert "without audio" in first
    assert "Weights that its gate gave" in second
    assert "%" in second
    assert "SYNTHETIC: trained on drawn faces" in first
    assert page.locator(f"{ANSWER} img[alt]").count() == 2


def test_what_is_switched_off_changes_the_answer_and_back(open_page):
    page = open_page()
    choose(page, "SYNTHETIC, sad")
    whole = page.inner_text("#az-out")
    page.get_by_label("audio", exact=True).uncheck()
    playwright.expect(page.locator("#az-out")).to_contain_text("without audio: switched off", timeout=MINUTE)
    page.get_by_label("audio", exact=True).check()
    page.wait_for_function("whole => document.querySelector('#az-out').innerText === whole", arg=whole, timeout=MINUTE)


def test_a_file_and_a_text_are_answered_and_shown_by_the_browser_alone(open_page, tmp_path):
    page = open_page()
    page.set_input_files("#az-file", film(tmp_path / "mine.webm"))
    page.wait_for_selector(ANSWER, timeout=MINUTE)
    assert page.inner_text("#az-state").startswith("mine.webm, 4.0 s")
    assert page.get_attribute("#az-seen", "src").startswith("blob:")
    assert "without text: no text" in page.inner_text("#az-out")
    page.get_by_label("Text: what is said").fill("i am so glad")
    page.get_by_role("button", name="Answer").click()
    playwright.expect(page.locator("#az-out")).not_to_contain_text("without text", timeout=MINUTE)


def test_a_broken_file_is_a_message_and_the_next_one_is_answered(open_page, tmp_path):
    page = open_page()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 5000)
    page.set_input_files("#az-file", broken)
    playwright.expect(page.get_by_role("alert")).to_contain_text("broken.mp4: not a media file", timeout=MINUTE)
    choose(page, "SYNTHETIC, angry")
    assert page.locator(".az-problem").count() == 0


@pytest.mark.parametrize(("button", "without"), [("#az-camera", False), ("#az-voice", True)])
def test_camera_and_microphone_are_recorded(open_page, button, without):
    page = open_page()
    page.click(button)
    playwright.expect(page.locator(button)).to_have_text("Stop", timeout=MINUTE)
    page.wait_for_timeout(5000)
    page.click(button)
    page.wait_for_selector(ANSWER, timeout=MINUTE)
    assert page.inner_text("#az-state").startswith("recording.web")
    gates = page.locator(ANSWER).nth(1).inner_text()
    assert ("without video: no video" in gates) is without  # a camera may end before the last window


def test_two_users_have_each_their_own(open_page):
    one, other = open_page(), open_page()
    one.select_option("#az-example", label="SYNTHETIC, happy")
    other.select_option("#az-example", label="SYNTHETIC, angry")
    for page in (one, other):
        page.wait_for_selector(ANSWER, timeout=MINUTE)
    assert one.inner_text("#az-state").startswith("SYNTHETIC, happy")
    assert other.inner_text("#az-state").startswith("SYNTHETIC, angry")
    first, second = (page.get_attribute(f"{ANSWER} img", "src") for page in (one, other))
    assert first != second
    other.get_by_label("video", exact=True).uncheck()
    playwright.expect(other.locator("#az-out")).to_contain_text("switched off", timeout=MINUTE)
    assert "without video: switched off" not in one.inner_text("#az-out")


def test_it_fits_a_phone_and_is_reached_by_keyboard(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    choose(page, "SYNTHETIC, happy")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    reached = set()
    page.locator("#az-file").focus()
    for _ in range(14):
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        page.keyboard.press("Tab")
    assert {"az-file", "az-camera", "az-voice", "az-example", "Answer"} <= {name.strip() for name in reached}
    assert page.locator("img:not([alt])").count() == 0
    page.get_by_role("button", name="CFNSR (ravdess): trained on what").press("Enter")
    playwright.expect(page.get_by_text("trained on ravdess, protocol").first).to_be_visible(timeout=MINUTE)


def test_live_windows_make_a_rolling_curve(open_page):
    page = open_page()
    page.click("#az-live")
    playwright.expect(page.locator("#az-live")).to_have_text("End live", timeout=MINUTE)
    page.wait_for_selector(f"{ANSWER} svg[aria-label*='3 windows']", timeout=2 * MINUTE)
    page.click("#az-live")
    playwright.expect(page.locator("#az-live")).to_have_text("Live: a window every four seconds", timeout=MINUTE)
    choose(page, "SYNTHETIC, sad")
    playwright.expect(page.locator(f"{ANSWER} svg")).to_have_count(0, timeout=MINUTE)
