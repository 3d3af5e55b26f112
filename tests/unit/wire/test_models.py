import json

from seekd.prompt.abilities import Abilities, Thinking
from seekd.wire.models import ModelCard, model_body, models_body

CARD = ModelCard(
    model_id="deepseek-chat",
    display_name="A model",
    context_window=8192,
    max_output_tokens=4096,
    owned_by="seekd",
    abilities=Abilities(chat=True, thinking=Thinking.NEVER, tools=True, fim=False),
    is_demonstration=True,
)


def test_a_list_holds_the_same_objects_as_the_single_route() -> None:
    listing = json.loads(models_body([CARD, CARD]))
    assert listing == {"object": "list", "data": [json.loads(model_body(CARD))] * 2}


def test_the_services_keys_come_first_and_a_demonstration_says_so() -> None:
    item = json.loads(model_body(CARD))
    assert list(item)[:4] == ["id", "object", "owned_by", "name"]
    assert item["context_window"] == 8192
    assert item["demonstration"] is True
    assert item["abilities"] == {"chat": True, "thinking": "never", "tools": True, "json": True, "fim": False}
