"""The page: Gradio's fields and queue around a clip that is sent by itself, `templates/page.js`."""

from dataclasses import replace
from typing import Any

import gradio as gr
from gradio import blocks, processing_utils

from datamodules.errors import DataError
from experiments.errors import BusyError
from experiments.predict.legend import legend
from experiments.serve.asked.said import TEMPLATES, Said, html_of, html_of_problem
from experiments.serve.asked.service import Service, no_words_of_clips

TITLE = "affectzoo: what it says of a clip, and what that rests on"
PURPOSE = (
    "It tells how people look or sound to those who labelled a corpus, not what anybody feels. Not for decisions about "
    "people, at work or in education least of all."
)
LIVE = 60  # windows of a course
Course = dict[str, list[dict[str, Any]]]
GONE = "The clip is no longer kept; give it again."
ASK = "Give a clip or a text."


def mount(app: Any, service: Service) -> Any:
    """Return an application with the page at its root."""
    for module in (processing_utils, blocks.processing_utils):  # Gradio would fetch an address that a request names
        module.async_ssrf_protected_download = _fetch_nothing
    page = _page(service)
    page.queue(max_size=service.limits.waiting, default_concurrency_limit=2)
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    return gr.mount_gradio_app(
        app, page, "/", footer_links=[], run_history=False, ssr_mode=False, show_error=False, mcp_server=False,
        enable_monitoring=False, theme=gr.themes.Base(**fonts), css=(TEMPLATES / "page.css").read_text(),
        head='<meta name="viewport" content="width=device-width, initial-scale=1">',
    )  # fmt: skip


async def _fetch_nothing(*_: Any, **__: Any) -> str:
    raise ValueError("nothing is fetched from anywhere")


def _page(service: Service) -> Any:
    with gr.Blocks(title="affectzoo", analytics_enabled=False) as page:
        token, course = gr.State(""), gr.State({})
        gr.HTML(f"<h1>{TITLE}</h1><p>{PURPOSE}</p>", js_on_load=None)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                clip = gr.HTML(
                    html_template=(TEMPLATES / "clip.html").read_text(), js_on_load=(TEMPLATES / "page.js").read_text()
                )
                text = gr.Textbox(label="Text: what is said", lines=2, max_length=2000, visible=service.reads_text)
                with gr.Accordion("What is known of the people", open=False, visible=bool(service.fields)):
                    fields = [
                        gr.Dropdown(["", *values], value="", label=name.replace("_", " "), filterable=len(values) > 12)
                        for name, values in service.fields.items()
                    ]
                on = gr.CheckboxGroup(
                    service.modalities, value=service.modalities, label="What the models may use",
                    visible=len(service.modalities) > 1,
                )  # fmt: skip
                ask = gr.Button("Answer", variant="primary")
            with gr.Column(scale=3, min_width=300):
                answers = gr.HTML(f"<p>{ASK}</p>", js_on_load=None, elem_id="az-out", min_height=120,
                                  apply_default_css=False)  # fmt: skip
        for title, model in service.models.items():
            with gr.Accordion(f"{title}: trained on what, how good, for what not", open=False):
                gr.Markdown("\n".join(f"- {_plain(line)}" for line in [*legend(model), PURPOSE]))
        inputs = [token, text, on, *fields]

        # Gradio finds by default and annotation what it hands over besides the inputs.
        def told(progress: Any = gr.Progress(), *values: Any) -> str:  # noqa: B008
            return _html(service, values, progress)

        def given(event: gr.EventData, progress: Any = gr.Progress(), *values: Any) -> tuple[str, str, Course]:  # noqa: B008
            found, (before, *others) = str(event.token), values[1:]
            rolling: Course = dict(before) if event.live else {}
            if event.problem:
                return "", html_of_problem(str(event.problem)), rolling
            return found, _html(service, (found, *others), progress, rolling, float(event.live)), rolling

        hidden = {"api_visibility": "private", "show_progress": "full", "show_progress_on": [answers]}
        clip.clip(given, [token, course, *inputs[1:]], [token, answers, course], **hidden)
        gr.on([ask.click, text.submit, on.input, *(of.input for of in fields)], told, inputs, answers,
              trigger_mode="always_last", **hidden)  # fmt: skip
    return page


def _html(service: Service, values: Any, progress: Any, course: Course | None = None, live: float = 0.0) -> str:
    """Return the answers, or in their place why there are none.

    Args:
        service: Whose models.
        values: Token, text, modalities that are on, what else is told.
        progress: Is told how far it is.
        course: Of live windows, what was said before; what is said now is added.
        live: Seconds from the beginning to the end of a live window; 0 of another clip.
    """
    token, text, on, *known = values
    told = {"text": text} | dict(zip(service.fields, known, strict=True))
    told = {name: str(of)[:2000] for name, of in told.items() if of}
    off = [name for name in service.modalities if name not in (on or [])]
    clip = service.shelf.get(str(token)) if token else None
    if token and clip is None:
        return html_of_problem(GONE)

    def job() -> str:
        with no_words_of_clips():
            said = service.answers(clip, told, off, progress)
            return html_of(said if course is None or not live else [_rolled(one, course, live) for one in said])

    try:
        with service.desk.place():
            return service.desk.result(job, service.limits.patience)
    except (DataError, BusyError) as error:
        return html_of_problem(str(error))
    except TimeoutError:
        return html_of_problem("It took too long; try a shorter clip.")


def _rolled(one: Said, course: Course, end: float) -> Said:
    """Return what was said of a live window with the course up to it, which it is added to."""
    said = {"start": max(0.0, end - one.answer.seconds), "end": end, "probabilities": one.answer.probabilities}
    before = course.get(one.title, [])
    course[one.title] = [*before, *([said] if one.answer.probabilities else [])][-LIVE:]
    return replace(one, answer=replace(one.answer, over_time=tuple(course[one.title])))


def _plain(line: str) -> str:
    """Return a line in which Markdown finds nothing: names of classes may be anybody's."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#!|" else sign for sign in line)
