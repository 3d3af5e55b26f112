import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.accounts.types import Caller, Price, format_exact, parse_amount

TOKENS = st.integers(0, 10**7)
PRICES = st.builds(
    Price, hit_micros=st.integers(0, 10**7), miss_micros=st.integers(0, 10**7), output_micros=st.integers(0, 10**7)
)


def test_a_cost_is_rounded_up_once() -> None:
    price = Price(hit_micros=2_800, miss_micros=140_000, output_micros=280_000)
    cost = price.cost_micros(num_hit_tokens=1_000_000, num_miss_tokens=1, num_completion_tokens=1)
    assert cost == 2_800 + 1  # 0.14 and 0.28 of a micro-unit make one


@given(price=PRICES, num_hit=TOKENS, num_miss=TOKENS, num_completion=TOKENS, room=TOKENS)
def test_no_usage_costs_more_than_the_worst_case(
    price: Price, num_hit: int, num_miss: int, num_completion: int, room: int
) -> None:
    worst = price.worst_case_micros(num_prompt_tokens=num_hit + num_miss, max_completion_tokens=num_completion + room)
    cost = price.cost_micros(num_hit_tokens=num_hit, num_miss_tokens=num_miss, num_completion_tokens=num_completion)
    assert cost <= worst


@pytest.mark.parametrize(
    ("micros", "exact"),
    [
        (0, "0.00"),
        (1_500_000, "1.50"),
        (999_999, "0.999999"),
        (110_000_000, "110.00"),
        (1, "0.000001"),
        (-1_234_500, "-1.2345"),
    ],
)
def test_amounts_are_written_to_the_last_micro_unit(micros: int, exact: str) -> None:
    assert format_exact(micros) == exact


@given(st.integers(1, 10**15))
def test_an_exact_amount_reads_back(micros: int) -> None:
    assert parse_amount(format_exact(micros)) == micros


@pytest.mark.parametrize(
    "text", ["", "0", "0.0", "-1", "1,5", "1.2345678", "1e3", "٣", ".", "1.5 USD", "nan", "9" * 13]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_amount(text)


def test_a_key_without_a_list_of_models_may_use_all() -> None:
    caller = Caller(account_id="a", key_id="k", key_prefix="sk-1234", name="")
    assert caller.may_use("anything")
