"""`seekd`: the command line.

Each command says in one sentence what is wrong and leaves with a non-zero
status; tracebacks are for bugs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from seekd import __version__
from seekd.cli import accounts, audit, cache, keys, ledger, models, requests, usage
from seekd.cli.books import print_json
from seekd.cli.options import (
    ConfigOption,
    DataDirOption,
    HelpfulGroup,
    HostOption,
    JsonOption,
    ModelOption,
    PortOption,
    existing_data_dir,
    load_settings,
)
from seekd.cli.settings import show_settings
from seekd.errors import ConfigError, SeekdError, StoreError
from seekd.models.store import ModelStore
from seekd.settings import planned_models

app = typer.Typer(
    name="seekd",
    help="The DeepSeek Chat API on your own machines.",
    cls=HelpfulGroup,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(usage.app, name="usage")
app.add_typer(ledger.app, name="ledger")
app.add_typer(cache.app, name="cache")
app.add_typer(models.app, name="models")
app.add_typer(requests.app, name="requests")

_errors = Console(stderr=True, soft_wrap=True, highlight=False)


def main() -> None:
    """Entry point of the `seekd` program."""
    try:
        app()
    except SeekdError as error:
        reason = f" ({error.reason})" if isinstance(error, StoreError) and error.reason else ""
        _errors.print(f"seekd: {error.message}{reason}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """The DeepSeek Chat API on your own machines."""
    if version:
        typer.echo(f"seekd {__version__}")
        raise typer.Exit


@app.command()
def serve(
    host: HostOption = None,
    port: PortOption = None,
    model: ModelOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    context_length: Annotated[
        int | None, typer.Option(help="Tokens of one conversation.  [default: the model's own, as memory allows]")
    ] = None,
    max_sequences: Annotated[
        int | None, typer.Option(help="Requests that are computed at once.  [default: 16]")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the computation.  [default: physical cores]")] = None,
    cache_ram: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Prefix cache in memory, such as 2GiB; 0 for none.  [default: 1/8 of memory]"
        ),
    ] = None,
    cache_disk: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Prefix cache on disk; 0 for none.  [default: 10GiB, at most 1/10 of what is free]"
        ),
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Allow an address other than loopback without any key.")
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(metavar="debug|info|warning|error", help="Least severe records shown.  [default: info]"),
    ] = None,
    opens_browser: Annotated[
        bool, typer.Option("--open", help="Show the playground in the browser once ready.")
    ] = False,
    script: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml|.py", help="Answer by this script instead of a model, for tests of other programs."
        ),
    ] = None,
) -> None:
    """Serve the API until interrupted.

    Every other setting goes into the settings file or the environment: `seekd config` lists them all.
    """
    loaded = load_settings(
        config,
        server__host=host,
        server__port=port,
        server__data_dir=data_dir,
        server__insecure=insecure,
        model__source=model,
        engine__context_length=context_length,
        engine__max_sequences=max_sequences,
        engine__threads=threads,
        engine__cache_ram=cache_ram,
        engine__cache_disk=cache_disk,
        log__level=log_level,
    )
    from seekd.cli.serve import run_kit, run_server

    settings = loaded.settings
    if script is not None:
        raise typer.Exit(run_kit(settings, script=script))
    models.fetch_missing((plan.source for plan in planned_models(settings)), ModelStore(settings.server.models_folder))
    raise typer.Exit(run_server(settings, opens_browser=opens_browser))


@app.command()
def record(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The cassette.")],
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="The service, such as https://api.deepseek.com")
    ],
    redact: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="email, phone, card, iban or ip, to be taken out as well; several times."),
    ] = None,
    host: HostOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
) -> None:
    """Pass requests on to a service and keep them with their answers, for tests; keys are taken out before."""
    from seekd.cli.record import run_recorder

    settings = load_settings(config, server__host=host, server__port=port).settings
    raise typer.Exit(run_recorder(settings, folder=to, base_url=base_url, rules=redact or ()))


@app.command()
def replay(
    folder: Annotated[Path, typer.Option("--from", metavar="FOLDER", help="The cassette.")],
    strict: Annotated[bool, typer.Option("--strict", help="A request must be equal in every member.")] = False,
    rhythm: Annotated[bool, typer.Option("--rhythm", help="Pause as the service did.")] = False,
    host: HostOption = None,
    port: PortOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Answer requests as they were recorded; one that was not is refused with the nearest and what differs."""
    from seekd.cli.serve import run_kit
    from seekd.testing.replay import Library

    settings = load_settings(config, server__host=host, server__port=port, server__data_dir=data_dir).settings
    library = Library(folder, matching="strict" if strict else "lenient", has_rhythm=rhythm)
    raise typer.Exit(run_kit(settings, library=library))


@app.command()
def chat(
    question: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUESTION", help="Asked once; what is piped in follows it. Without it, a conversation."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Of the server.  [default: this machine's, at the set port]"),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="KEY", envvar="DEEPSEEK_API_KEY", show_default=False, help="Sent along."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Asked.  [default: the first of the server's list]")
    ] = None,
    system: Annotated[str, typer.Option("--system", metavar="TEXT", help="The system prompt.")] = "",
    temperature: Annotated[float | None, typer.Option("--temperature", metavar="T", help="0 to 2.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", metavar="N", help="Of an answer.")] = None,
    thinking: Annotated[
        bool | None, typer.Option("--thinking/--no-thinking", help="Reason before answering, or not.")
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Chat in the terminal, or ask one question: git diff | seekd chat "review this"."""
    from seekd.cli.chat.client import ChatClient
    from seekd.cli.chat.run import ask_once, open_conversation, question_of, talk

    server = load_settings(config, server__data_dir=data_dir).settings.server
    is_once = bool(question) or as_json or not sys.stdin.isatty()
    with ChatClient(base_url or f"{server.scheme}://127.0.0.1:{server.port}/v1", api_key=api_key) as client:
        asked = question_of(question or [], "" if sys.stdin.isatty() else sys.stdin.read()) if is_once else ""
        conversation = open_conversation(
            client,
            model=model,
            system=system,
            temperature=temperature,
            max_tokens=max_tokens,
            thinking=None if thinking is None else {"type": "enabled" if thinking else "disabled"},
        )
        if is_once:
            ask_once(client, conversation, asked, as_json=as_json)
        else:
            talk(client, conversation, history=server.data_dir / "chat-history")


@app.command("config")
def show_config(
    as_json: JsonOption = False,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print a settings file.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print every setting: its value and where the value comes from."""
    show_settings(load_settings(config, server__data_dir=data_dir), as_json=as_json, as_toml=as_toml)


@app.command()
def doctor(as_json: JsonOption = False, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Look at this machine: processor, llama.cpp's build, disk, port, books. Exit status 1 where there is a problem.

    How fast llama.cpp's kernels are, deep in a conversation: `python bench/kernels.py` in the sources.
    """
    from seekd.cli import doctor as examination

    findings = examination.examine(load_settings(config, server__data_dir=data_dir).settings)
    typer.echo(examination.as_json(findings) if as_json else examination.as_text(findings))
    raise typer.Exit(int(any(finding.problem for finding in findings)))


@app.command()
def top(
    url: requests.UrlOption = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, metavar="S", help="Seconds between two looks.")
    ] = 1.0,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Watch a running server: its models, queue, cache and requests, until Ctrl-C."""
    from seekd.cli import top as view

    def ask(path: str) -> Any:  # Any: JSON
        return requests.ask_admin("GET", f"/admin{path}", url=url, data_dir=data_dir, config=config)

    if as_json:
        print_json({"models": ask("/models"), "requests": ask("/requests")})
        return
    console = Console()
    if not console.is_terminal:
        raise ConfigError("seekd top needs a terminal; --json prints what it would show once.")
    view.watch(ask, interval_s=interval, console=console)


@app.command("audit")
def show_audit(
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="How many, the latest first.")] = 100,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show who changed accounts and keys, when and how."""
    settings = load_settings(config, server__data_dir=data_dir).settings
    existing_data_dir(settings)
    audit.show(settings.server.audit_file, limit=limit, as_json=as_json)


@app.command("count")
def count_tokens(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="What to count; standard input if left out.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="The input is a Chat Completions body.")] = False,
    model: ModelOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Count the tokens of a text, or of a whole chat prompt, exactly as the server would."""
    from seekd.cli.count import count

    settings = load_settings(config, model__source=model, server__data_dir=data_dir).settings
    num_tokens = count(file, chat=chat, settings=settings)
    typer.echo(json.dumps({"tokens": num_tokens}) if as_json else num_tokens)
