"""The playground as a person uses it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page, expect

from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.engine.types import EngineRequest, TokenLogprobs
from seekd.errors import EngineError
from seekd.testing import Cached, Delay, Emit, EmitText, Fail, ScriptedEngine, ScriptedServer, ScriptStep, say
from tests.ui.conftest import OpenPage

Serve = Callable[..., ScriptedServer]
Picture = Callable[[Page, str], None]

VOCABULARY = ScriptedEngine(say("")).vocabulary
CALL = (
    "<｜DSML｜tool_calls>\n"
    '<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">Oslo</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n"
    "</｜DSML｜tool_calls>"
)
RICH = """# A title

Some *words*, `code` and $a^2 + b^2 = c^2$, for $5 or $6.

| city | degrees |
|---|---|
| Oslo | 3 |

```python
def double(x):
    return 2 * x
```

$$
\\int_0^1 x\\,dx = \\frac{1}{2}
$$

- one
- two

<script>alert(1)</script><img src="https://example.invalid/x.png" onerror="alert(2)"><b id="app">bold</b>
[a link](https://example.invalid) and [another](javascript:alert(3))
"""


def prompt_of(request: EngineRequest) -> str:
    return b"".join(VOCABULARY.token_bytes(token_id) for token_id in request.prompt_token_ids).decode()


def echo(request: EngineRequest) -> Iterable[ScriptStep]:
    """Answers with the number of the answer and what was asked last."""
    text = prompt_of(request)
    last = text.rpartition("<｜User｜>")[2].partition("<｜Assistant｜>")[0]
    return (EmitText(text=f"Answer {text.count('<｜User｜>')} to {last}"),)


def write(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)


def send(page: Page, text: str) -> Locator:
    """Send a message and wait for the end of its answer."""
    write(page, text)
    page.keyboard.press("Enter")
    return answered(page)


def answered(page: Page) -> Locator:
    answer = page.get_by_role("article", name="Assistant").last
    expect(page.get_by_role("status")).to_have_text("The answer is complete.")
    expect(answer).to_have_attribute("aria-busy", "false")
    return answer


def open_section(page: Page, name: str) -> None:
    page.get_by_label("Settings").locator("summary", has_text=name).click()


def test_an_answer_streams_in_and_says_what_it_took(seekd_server: Serve, open_page: OpenPage, picture: Picture) -> None:
    was_seen = threading.Event()

    def script(_: EngineRequest) -> Iterable[ScriptStep]:
        yield Cached(num_tokens=3)
        yield EmitText(text="Hello")
        while not was_seen.is_set():
            yield Delay(delay_s=0.01)
        yield Delay(delay_s=0.05)  # long enough for the page to measure a rate
        yield EmitText(text=" from the script")

    server = seekd_server(script)
    page = open_page(server)
    expect(page.get_by_text("Ask something.")).to_be_visible()
    write(page, "Hi")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("Hello")
    was_seen.set()
    answer = answered(page)
    expect(answer).to_contain_text("Hello from the script")
    for fact in (r"\d+ \+ 2\d tokens", "3 from the prefix cache", r"[\d.]+ tokens/s", r"first token after [\d.]+ s"):
        expect(answer.locator(".facts")).to_contain_text(re.compile(fact))
    expect(answer.locator(".facts")).to_contain_text("% of the context")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def test_reasoning_is_shown_and_then_folded(seekd_server: Serve, open_page: OpenPage) -> None:
    server = seekd_server(say("The sum is easy.</think>**Two**"))
    page = open_page(server)
    page.get_by_label("on", exact=True).check()
    answer = send(page, "1 + 1?")
    expect(answer.locator("strong")).to_have_text("Two")
    expect(answer.locator(".thought")).to_be_hidden()
    answer.get_by_text(re.compile(r"Reasoned for [\d.]+ s")).click()
    expect(answer.locator(".thought")).to_have_text("The sum is easy.")


def test_reasoning_is_open_while_it_lasts_and_escape_stops(seekd_server: Serve, open_page: OpenPage) -> None:
    server = seekd_server(lambda _: (EmitText(text="Let me see"), Delay(delay_s=600)))
    page = open_page(server)
    page.get_by_label("on", exact=True).check()
    write(page, "1 + 1?")
    page.keyboard.press("Enter")
    expect(page.locator(".thought")).to_have_text("Let me see")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_markdown_code_tables_and_maths_are_shown_and_nothing_in_them_runs(
    seekd_server: Serve, open_page: OpenPage, picture: Picture
) -> None:
    page = open_page(seekd_server(say(RICH, num_tokens_per_update=40)))
    answer = send(page, "Show me")
    expect(answer.locator("h1")).to_have_text("A title")
    expect(answer.locator("td").first).to_have_text("Oslo")
    expect(answer.locator(".hljs-keyword").first).to_have_text("def")
    expect(answer.locator(".katex")).to_have_count(2)
    expect(answer.locator(".katex-display")).to_have_count(1)
    expect(answer).to_contain_text("for $5 or $6")
    expect(answer).to_contain_text("<script>alert(1)</script><img src=")
    expect(answer.locator("script, img, #app")).to_have_count(0)
    expect(answer.get_by_role("link")).to_have_count(1)
    expect(answer.get_by_role("link")).to_have_attribute("rel", "noopener noreferrer")
    answer.get_by_role("button", name="Source").click()
    expect(answer.locator(".source")).to_contain_text("# A title")
    picture(page, "source")


def test_branches_come_from_editing_and_from_answering_again(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(echo))
    send(page, "one")
    send(page, "two")
    question = page.get_by_role("article", name="You").last
    question.get_by_role("button", name="Edit").click()
    question.get_by_label("Message").fill("three")
    question.get_by_role("button", name="Send").click()
    expect(answered(page)).to_contain_text("Answer 2 to three")
    expect(page.get_by_role("article")).to_have_count(4)
    page.get_by_role("article", name="You").last.get_by_role("button", name="Previous branch").click()
    expect(page.get_by_role("article").last).to_contain_text("Answer 2 to two")
    page.get_by_role("article").last.get_by_role("button", name="Answer again").click()
    answer = answered(page)
    expect(answer.locator(".branches")).to_contain_text("2/2")


def test_conversations_are_kept_searched_exported_and_imported(
    seekd_server: Serve, open_page: OpenPage, tmp_path: Path
) -> None:
    server = seekd_server(echo)
    page = open_page(server)
    send(page, "about whales")
    page.get_by_role("button", name="New conversation").click()
    send(page, "about wolves")
    page.reload()
    titles = page.locator(".sidebar .title")
    expect(titles).to_have_text(["about wolves", "about whales"])
    page.get_by_label("Search").fill("Whales")
    expect(titles).to_have_text(["about whales"])
    titles.click()
    expect(page.get_by_role("article").last).to_contain_text("Answer 1 to about whales")
    file = tmp_path / "conversations.json"
    with page.expect_download() as download:
        page.get_by_role("button", name="Export all as JSON").click()
    download.value.save_as(file)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as Markdown").click()
    assert "## assistant\n\nAnswer 1 to about whales" in Path(download.value.path()).read_text(encoding="utf-8")
    page.get_by_label("Search").fill("")
    page.get_by_role("button", name="Delete: about whales").click()
    expect(titles).to_have_text(["about wolves"])
    page.locator(".files input").set_input_files(file)
    expect(titles).to_have_text(["about wolves", "about whales"])
    file.write_text("{}")
    page.locator(".files input").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("no conversations")


def test_a_shared_file_shows_itself_without_a_server(seekd_server: Serve, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(seekd_server(say(RICH, num_tokens_per_update=40)))
    send(page, "Show <b>me</b>")
    with page.expect_download() as download:
        page.get_by_role("button", name="Share as one HTML file").click()
    file = tmp_path / "shared.html"
    download.value.save_as(file)
    asked: list[str] = []
    shared = page.context.new_page()
    shared.on("request", lambda request: asked.append(request.url))
    shared.goto(file.as_uri())
    expect(shared.locator("h1").first).to_have_text("Show <b>me</b>")
    expect(shared.locator(".hljs-keyword").first).to_have_text("def")
    expect(shared.locator("math")).to_have_count(2)
    expect(shared.locator("script, img")).to_have_count(0)
    assert asked == [file.as_uri()]


def test_leaving_a_conversation_keeps_what_was_said_so_far(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(lambda _: (EmitText(text="Only half"), Delay(delay_s=600))))
    write(page, "Tell me")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("Only half")
    page.get_by_role("button", name="Tell me", exact=True).click()
    expect(page.get_by_role("article").last).to_contain_text("Only half")
    page.get_by_role("article").last.get_by_role("button", name="Answer again").click()
    expect(page.get_by_role("article").last).to_contain_text("Only half")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_text("Ask something.")).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Tell me", exact=True).click()
    expect(page.get_by_role("article").last).to_contain_text("Only half")
    expect(page.get_by_role("article").last).to_contain_text("Stopped.")
    expect(page.locator(".branches")).to_contain_text("2/2")


def test_reloading_in_the_middle_of_an_answer_keeps_what_was_said(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(lambda _: (EmitText(text="Only half"), Delay(delay_s=600))))
    write(page, "Tell me")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("Only half")
    page.reload()
    page.get_by_role("button", name="Tell me", exact=True).click()
    expect(page.get_by_role("article").last).to_contain_text("Only half")
    expect(page.get_by_role("article").last).to_contain_text("Stopped.")


def test_a_conversation_that_is_deleted_while_it_runs_is_gone(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(lambda _: (EmitText(text="Only half"), Delay(delay_s=600))))
    write(page, "Tell me")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").last).to_contain_text("Only half")
    page.get_by_role("button", name="Delete: Tell me").click()
    expect(page.locator(".sidebar .title")).to_have_count(0)
    page.reload()
    expect(page.get_by_text("Ask something.")).to_be_visible()
    expect(page.locator(".sidebar .title")).to_have_count(0)


def test_parameters_are_held_to_their_ranges_and_sent(seekd_server: Serve, open_page: OpenPage) -> None:
    server = seekd_server(echo)
    page = open_page(server)
    open_section(page, "Parameters")
    page.get_by_label("temperature").fill("3")
    expect(page.get_by_text("Allowed: 0 … 2")).to_be_visible()
    page.get_by_label("temperature").fill("0.5")
    page.get_by_label("max_tokens").fill("4")
    page.get_by_label("System prompt").fill("Be brief.")
    answer = send(page, "one")
    expect(answer).to_contain_text("The answer was cut")
    [request] = server.engine.requests
    assert (request.max_tokens, request.sampling.temperature) == (4, 0.5)
    assert "Be brief." in prompt_of(request)


def test_a_call_is_shown_and_its_mocked_result_sent_back(
    seekd_server: Serve, open_page: OpenPage, picture: Picture
) -> None:
    def script(request: EngineRequest) -> Iterable[ScriptStep]:
        return (EmitText(text="It is mild." if "3 degrees" in prompt_of(request) else CALL),)

    page = open_page(seekd_server(script))
    open_section(page, "Tools")
    page.get_by_role("button", name="Insert an example").click()
    page.get_by_label("Mock result of get_weather").fill("3 degrees")
    answer = send(page, "The weather in Oslo?")
    expect(answer.locator(".call")).to_contain_text('"city": "Oslo"')
    expect(answer.get_by_label("Result of get_weather")).to_have_value("3 degrees")
    picture(page, "tools")
    answer.get_by_role("button", name="Send the result").click()
    expect(page.get_by_text("It is mild.")).to_be_visible()
    expect(page.get_by_role("article", name="Tool")).to_contain_text("3 degrees")


def test_json_is_laid_out_and_a_broken_schema_is_said_so(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(say('{"answer":"yes"}')))
    page.get_by_label("JSON Schema").first.check()
    schema = page.get_by_role("textbox", name="JSON Schema")
    schema.fill("{")
    expect(page.get_by_text("Not valid:")).to_be_visible()
    write(page, "Yes or no, in JSON?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(0)
    schema.fill('{"type":"object","properties":{"answer":{"type":"string"}}}')
    page.get_by_role("button", name="Lay out").click()
    expect(schema).to_have_value(re.compile('{\n  "type": "object"'))
    page.keyboard.press("/")
    answer = send(page, "Yes or no, in JSON?")
    expect(answer.locator("code")).to_have_text('{\n  "answer": "yes"\n}')


def test_probabilities_show_their_alternatives(seekd_server: Serve, open_page: OpenPage, picture: Picture) -> None:
    def token(text: str, logprob: float, *others: tuple[str, float]) -> Emit:
        top = tuple((ord(sign), value) for sign, value in ((text, logprob), *others))
        return Emit(token_ids=[ord(text)], logprobs=[TokenLogprobs(logprob=logprob, top=top)])

    page = open_page(seekd_server(lambda _: (token("a", -0.01, ("b", -5.0)), token("c", -1.6, ("d", -1.7)))))
    open_section(page, "Parameters")
    page.get_by_label("top_logprobs").fill("2")
    answer = send(page, "Spell")
    answer.get_by_role("button", name="Probabilities").click()
    tokens = answer.get_by_role("option")
    expect(tokens).to_have_text(["a", "c"])
    tokens.last.hover()
    expect(answer.locator(".tip")).to_contain_text('"d" 18 %')
    answer.get_by_role("listbox").focus()
    page.keyboard.press("ArrowLeft")
    expect(answer.locator(".tip")).to_contain_text('"b" 0.7 %')


def test_the_next_request_is_shown_as_programs_without_the_key(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(echo))
    page.evaluate("sessionStorage.setItem('seekd-key', 'sk-secret')")
    page.reload()
    write(page, "What is new?")
    snippet = page.locator(".snippets pre")
    for name, part in {"curl": "/v1/chat/completions", "Python": "OpenAI(base_url=", "Node": "new OpenAI("}.items():
        page.get_by_role("button", name=name, exact=True).click()
        expect(snippet).to_contain_text(part)
        expect(snippet).to_contain_text("What is new?")
        expect(snippet).not_to_contain_text("sk-secret")
    page.get_by_label("The answer begins with").fill("Not much")
    expect(snippet).to_contain_text("/beta")


def test_an_answer_goes_on_from_its_beginning(seekd_server: Serve, open_page: OpenPage) -> None:
    server = seekd_server(say(" upon a time"))
    page = open_page(server)
    page.get_by_label("The answer begins with").fill("Once")
    expect(send(page, "A story")).to_contain_text("Once upon a time")
    assert prompt_of(server.engine.requests[0]).endswith("Once")


@pytest.mark.parametrize("is_safe", [True, False])
def test_code_is_copied_also_where_the_address_is_not_a_safe_one(
    seekd_server: Serve, open_page: OpenPage, context: BrowserContext, is_safe: bool
) -> None:
    if not is_safe:  # as a browser treats plain HTTP from another machine
        context.add_init_script("delete Navigator.prototype.clipboard; delete Crypto.prototype.randomUUID;")
    page = open_page(seekd_server(say(RICH, num_tokens_per_update=40)))
    answer = send(page, "Show me")
    answer.locator(".code-block").get_by_role("button", name="Copy").click()
    expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.press("Control+v")
    expect(page.get_by_label("Message", exact=True)).to_have_value("def double(x):\n    return 2 * x")


def test_a_gap_is_filled(seekd_server: Serve, open_page: OpenPage, picture: Picture) -> None:
    server = seekd_server(say("return a + b"))
    page = open_page(server)
    page.get_by_role("button", name="Fill in", exact=True).click()
    page.get_by_label("Text before the gap").fill("def add(a, b):\n    ")
    page.get_by_label("Text after the gap").fill("\n\nprint(add(1, 2))")
    page.get_by_role("button", name="Fill in the middle").click()
    expect(page.locator("mark")).to_have_text("return a + b")
    expect(page.locator(".fill .facts")).to_contain_text("12 tokens")
    picture(page, "fill")


def test_a_text_file_is_attached(seekd_server: Serve, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(seekd_server(echo))
    file = tmp_path / "notes.txt"
    file.write_text("bees\n")
    page.get_by_label("Attach a text file").set_input_files(file)
    expect(page.get_by_label("Message", exact=True)).to_have_value("notes.txt:\n```\nbees\n```")
    file.write_text("x" * 1_000_001)
    page.get_by_label("Attach a text file").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("larger than")


def test_an_error_in_the_stream_is_shown_with_what_came_before(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(lambda _: (EmitText(text="Half an ans"), Fail(error=EngineError()))))
    write(page, "Hi")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("article").last).to_contain_text("Half an ans")


def admin(server: ScriptedServer, data_dir: Path, path: str, body: Mapping[str, str]) -> dict[str, str]:
    token = (data_dir / "admin-token").read_text().strip()
    response = httpx.post(f"{server.url}/admin/{path}", json=body, headers={"Authorization": f"Bearer {token}"})
    data: dict[str, str] = response.raise_for_status().json()
    return data


def test_a_key_is_asked_for_and_kept_in_the_tab_only(
    seekd_server: Serve, open_page: OpenPage, tmp_path: Path, picture: Picture
) -> None:
    server = seekd_server(echo, data_dir=tmp_path)
    account = admin(server, tmp_path, "accounts", {"name": "team"})
    key = admin(server, tmp_path, "keys", {"account_id": account["id"]})["key"]
    page = open_page(server, allowed="401")
    expect(page.get_by_text("This server asks for an API key.")).to_be_visible()
    picture(page, "key")
    page.get_by_label("API key").fill("sk-wrong")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("does not take this key")).to_be_visible()
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Save").click()
    expect(send(page, "Hi")).to_contain_text("Answer 1 to Hi")
    assert key not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
    page.keyboard.press("Control+k")
    page.get_by_role("option", name="Forget the API key").click()
    expect(page.get_by_text("This server asks for an API key.")).to_be_visible()


def test_the_palette_finds_commands_by_the_keyboard(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(echo))
    page.keyboard.press("Control+k")
    page.keyboard.type("fill in")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Text before the gap")).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_theme_and_language_are_remembered(seekd_server: Serve, open_page: OpenPage) -> None:
    page = open_page(seekd_server(echo))
    page.get_by_role("button", name="中文").click()
    page.get_by_role("button", name="深色或浅色").click()
    page.reload()
    expect(page.get_by_role("button", name="发送")).to_be_visible()
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dataset.theme]") == ["zh", "dark"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_view_can_be_used_with_a_screen_reader(
    seekd_server: Serve, open_page: OpenPage, picture: Picture, theme: str, width: int
) -> None:
    page = open_page(seekd_server(say("Let me think.</think>" + RICH, num_tokens_per_update=40)))
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    is_narrow = width < 900

    def judge(name: str) -> None:
        picture(page, f"{name}-{theme}-{width}")
        violations = Axe().run(page).response["violations"]
        serious = [entry for entry in violations if entry["impact"] in ("serious", "critical")]
        assert not serious, json.dumps(serious, indent=1)[:4000]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"

    judge("empty")
    if is_narrow:
        page.get_by_role("button", name="Settings").click()
    page.get_by_label("on", exact=True).check()
    open_section(page, "Parameters")
    open_section(page, "Tools")
    page.get_by_label("top_logprobs").fill("2")
    page.get_by_role("button", name="curl").click()
    judge("settings")
    if is_narrow:
        page.keyboard.press("Escape")
    expect(send(page, "Show me everything").locator(".katex")).to_have_count(2)
    judge("chat")
    page.get_by_role("button", name="Probabilities").click()
    judge("probabilities")
    if is_narrow:
        page.get_by_role("button", name="Menu").click()
        judge("menu")
        page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    judge("palette")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Fill in", exact=True).click()
    judge("fill")


def test_the_cost_of_an_answer_is_shown(seekd_server: Serve, open_page: OpenPage, tmp_path: Path) -> None:
    prices = (PriceSetting(model="deepseek-chat", currency="USD", hit="0", miss="0", output="100000"),)
    accounts = AccountsSettings(prices=prices, report_cost_header=True)
    server = seekd_server(say("four"), data_dir=tmp_path, accounts=accounts)
    account = admin(server, tmp_path, "accounts", {"name": "team"})
    admin(server, tmp_path, f"accounts/{account['id']}/top-up", {"amount": "10000", "currency": "USD"})
    key = admin(server, tmp_path, "keys", {"account_id": account["id"]})["key"]
    page = open_page(server, allowed="401")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Save").click()
    expect(send(page, "Hi").locator(".facts")).to_contain_text("cost 0.40 USD")
