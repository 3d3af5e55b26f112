"""What is done about findings, by settings, model, account and request."""

import pytest

from seekd.errors import ConfigError, InvalidParameter, SensitiveContent
from seekd.guard.settings import GuardSettings, OverrideSetting
from seekd.guard.types import Action
from seekd.service.metrics import Metrics
from seekd.service.shield import Policy, Shields


def _shields(settings: GuardSettings) -> Shields:
    return Shields(settings, metrics=Metrics(engines={}))


def _policy(settings: GuardSettings, *, model: str = "m", account_id: str = "a") -> Policy:
    return _shields(settings).policy(model=model, account_id=account_id)


def test_without_settings_nothing_is_done() -> None:
    assert not _policy(GuardSettings()).actions


def test_overrides_replace_the_lists_that_they_name_and_the_last_one_wins() -> None:
    settings = GuardSettings(
        redact=("email", "phone"),
        block=("card",),
        overrides=(
            OverrideSetting(model="m", redact=(), report=("email",)),
            OverrideSetting(account="a", redact=("ip",), restore=False),
            OverrideSetting(model="other", account="a", block=()),
        ),
    )
    assert _policy(settings, account_id="b").actions == {"card": Action.BLOCK, "email": Action.REPORT}
    mine = _policy(settings)
    assert mine.actions == {"card": Action.BLOCK, "email": Action.REPORT, "ip": Action.REDACT}
    assert not mine.restore
    assert _policy(settings, model="other").actions == {"ip": Action.REDACT}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (GuardSettings(redact=("mail",)), "guard.redact: there is no rule 'mail'"),
        (GuardSettings(redact=("email",), block=("email",)), "the rule email is both in block and in redact"),
        (GuardSettings(overrides=(OverrideSetting(report=("x",)),)), "guard.overrides.report: there is no rule 'x'"),
    ],
)
def test_a_rule_that_cannot_be_stops_the_start(settings: GuardSettings, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _shields(settings)
    assert words in caught.value.message


def test_a_request_may_add_and_never_weaken() -> None:
    shields = _shields(GuardSettings(block=("card",), report=("ip",)))
    policy = shields.policy(model="m", account_id="a")
    asked = shields.asked(policy, redact="email, card,ip", restore="no")
    assert asked.actions == {"card": Action.BLOCK, "ip": Action.REDACT, "email": Action.REDACT}
    assert (policy.restore, asked.restore) == (True, False)
    assert shields.asked(policy, redact=None, restore=None) == policy
    assert shields.asked(policy, redact=None, restore="yes").restore
    assert not shields.asked(asked, redact=None, restore="yes").restore
    with pytest.raises(InvalidParameter, match="there is no rule 'mail'"):
        shields.asked(policy, redact="mail", restore=None)
    with pytest.raises(InvalidParameter, match="yes or no"):
        shields.asked(policy, redact=None, restore="maybe")


def test_each_action_acts_and_is_counted() -> None:
    metrics = Metrics(engines={})
    shields = Shields(GuardSettings(redact=("email",), report=("ip",), block=("card",)), metrics=metrics)
    shield = shields.shield(shields.policy(model="m", account_id="a"))
    texts = shield.screened(["a@x.com at 10.20.30.40", "a@x.com"])
    assert texts == ["[EMAIL_1] at 10.20.30.40", "[EMAIL_1]"]
    assert shield.header() == "email=2;redact, ip=1;report"
    with pytest.raises(SensitiveContent) as caught:
        shields.shield(shield.policy).screened(["a@x.com", "4111 1111 1111 1111"])
    assert caught.value.rules == ("card",)
    assert "4111" not in caught.value.message
    exposed = metrics.exposition().decode()
    assert 'seekd_sensitive_findings_total{action="redact",rule="email"} 3.0' in exposed
    assert 'seekd_sensitive_findings_total{action="report",rule="ip"} 1.0' in exposed
    assert 'seekd_sensitive_findings_total{action="block",rule="card"} 1.0' in exposed
