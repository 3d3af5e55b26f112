"""The gauge of one process; the one in Redis is tested against a real Redis in tests/integration."""

from seekd.accounts.gauges import Full, GaugeLimit, LocalGauge

ACCOUNT, KEY = GaugeLimit(name="account", limit=2), GaugeLimit(name="key", limit=1)


async def test_a_place_is_taken_in_all_gauges_or_in_none() -> None:
    gauge = LocalGauge()
    assert await gauge.enter("1", [ACCOUNT, KEY]) is None
    assert await gauge.enter("2", [ACCOUNT, KEY]) == Full(limit=KEY, num_running=1)
    assert await gauge.enter("3", [ACCOUNT]) is None  # the refused one left no trace in the account's gauge
    assert await gauge.enter("4", [ACCOUNT]) == Full(limit=ACCOUNT, num_running=2)


async def test_places_come_back_and_leave_nothing_behind() -> None:
    gauge = LocalGauge()
    for number in range(100):
        assert await gauge.enter(str(number), [KEY]) is None
        await gauge.leave(str(number), [KEY])
    assert not gauge._running
