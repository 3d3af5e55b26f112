"""Which models the settings ask for."""

from dataclasses import fields
from pathlib import Path

import pytest

from seekd.config import ByteSize, load
from seekd.engine.settings import EngineSettings, KvType
from seekd.errors import ConfigError
from seekd.models.settings import ModelSettings
from seekd.settings import ModelPlan, NamedModelSettings, Settings, names_by_model, planned_models, unserved_names
from seekd.wire.model_names import OFFICIAL_MODELS


def _settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "seekd.toml"
    file.write_text(text)
    return load(Settings, environment={}, file=file).settings


def _plans(tmp_path: Path, text: str) -> list[ModelPlan]:
    return planned_models(_settings(tmp_path, text))


def test_without_settings_the_bundled_model_answers_every_name(tmp_path: Path) -> None:
    [plan] = _plans(tmp_path, "")
    assert (plan.names, plan.source, plan.preload) == ((), "bundled", True)


def test_tables_alone_leave_no_model_for_other_names(tmp_path: Path) -> None:
    [plan] = _plans(tmp_path, '[models."deepseek-chat"]\nsource = "a.gguf"\n')
    assert (plan.names, plan.source, plan.preload) == (("deepseek-chat",), "a.gguf", False)


def test_a_table_has_its_own_values_and_inherits_the_others(tmp_path: Path) -> None:
    default, own = _plans(
        tmp_path,
        '[model]\nsource = "bundled"\ntemperature_mapping = "none"\n[engine]\nthreads = 3\nkv_type = "f32"\n'
        '[models.a]\nsource = "a.gguf"\nkv_type = "q8_0"\ngpu_layers = 7\ncache_ram = "1MiB"\npreload = true\n',
    )
    assert (default.names, default.engine.kv_type) == ((), KvType.F32)
    assert (own.engine.threads, own.engine.kv_type, own.engine.gpu_layers) == (3, KvType.Q8_0, 7)
    assert (own.engine.cache_ram, own.model.temperature_mapping, own.preload) == (ByteSize(1 << 20), "none", True)


def test_a_table_has_every_key_of_a_model_and_of_an_engine() -> None:
    parts = {field.name for part in (ModelSettings, EngineSettings) for field in fields(part)}
    assert {field.name for field in fields(NamedModelSettings)} == parts - {"memory_budget", "router"} | {"preload"}


def test_what_bounds_an_engine_may_differ_from_model_to_model(tmp_path: Path) -> None:
    keys = "chunk_tokens = 64\nqueue_limit = 0\nrestart_wait_s = 1.5\nhang_limit_s = 0\nshare_prefix_cache = false\n"
    engine = "[engine]\nshare_prefix_cache = true\nhang_limit_s = 9\n"
    [plan] = _plans(tmp_path, f'{engine}[models.a]\nsource = "a.gguf"\n{keys}')
    assert plan.engine == EngineSettings(chunk_tokens=64, queue_limit=0, restart_wait_s=1.5, hang_limit_s=0)


def test_names_with_equal_tables_share_a_model(tmp_path: Path) -> None:
    tables = '[models.{}]\nsource = "a.gguf"\n'
    [plan] = _plans(tmp_path, tables.format("a") + tables.format("b"))
    assert plan.names == ("a", "b")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("threads = 0", "models.a: engine.threads is 0"),
        ("router = 'x'", "models.a.router is not a setting"),
        ('kv_type = "q3"', "models.a.kv_type"),
        ('prompt_format = "latin"', "models.a.prompt_format"),
    ],
)
def test_a_bad_value_in_a_table_names_it(tmp_path: Path, keys: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _plans(tmp_path, f'[models.a]\nsource = "a.gguf"\n{keys}\n')
    assert words in caught.value.message


@pytest.mark.parametrize("name", ["x" * 257, "a\\nb"])
def test_a_model_has_no_name_that_no_request_could_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="at most 256 characters"):
        _plans(tmp_path, f'[models."{name}"]\nsource = "a.gguf"\n')


def test_the_names_of_one_model_are_told_together(tmp_path: Path) -> None:
    tables = "".join(f'[models.{name}]\nsource = "{file}"\n' for name, file in (("a", "x"), ("b", "y"), ("c", "x")))
    assert names_by_model(_settings(tmp_path, tables)) == [("a", "c"), ("b",)]
    official = [name for name in OFFICIAL_MODELS if name != "deepseek-chat"]
    both = '[model]\nsource = "bundled"\n[models.deepseek-chat]\nsource = "x"\n'
    assert names_by_model(_settings(tmp_path, both)) == [official, ("deepseek-chat",)]


def test_settings_for_names_that_nothing_is_served_as_are_told(tmp_path: Path) -> None:
    text = (
        "[accounts]\nmodel_limits = {gpt-4 = {requests_per_minute = 1}, deepseek-chat = {requests_per_minute = 1}}\n"
        '[[accounts.prices]]\nmodel = "claude-opus-4"\ncurrency = "USD"\nhit = "0"\nmiss = "0"\noutput = "1"\n'
        '[response_cache]\nmodels = {mine = "on"}\n[models.mine]\nsource = "x"\n[model]\nsource = "bundled"\n'
        '[[guard.overrides]]\naccount = "a"\n[[guard.overrides]]\nmodel = "other"\n'
    )
    assert unserved_names(_settings(tmp_path, text)) == {
        "accounts.prices": ["claude-opus-4"],
        "accounts.model_limits": ["gpt-4"],
        "guard.overrides": ["other"],
    }
