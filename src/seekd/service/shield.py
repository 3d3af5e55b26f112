"""Which rules of the guard hold for a request, by settings, model, account and its own wish, and their work on text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from seekd.config import overlaid
from seekd.errors import ConfigError, InvalidParameter, LimitExceeded, SensitiveContent
from seekd.guard.finding import RuleBook
from seekd.guard.placeholders import Placeholders
from seekd.guard.settings import GuardSettings, OverrideSetting, RequestGuard
from seekd.guard.types import Action, Redactor
from seekd.service.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(RequestGuard):
    """What holds for one request.

    Attributes:
        actions: by rule; rules that are not here are off.
        needs_verdict: nothing passes that was not judged, whatever a silent moderation service means otherwise.
    """

    actions: Mapping[str, Action]
    needs_verdict: bool = False

    def check_size(self, *, num_messages: int, num_tools: int, num_schema_bytes: int) -> None:
        """Raises `LimitExceeded` for a request that is too large; its tokens are counted later."""
        for what, value, name in (
            ("messages", num_messages, "max_messages"),
            ("tools", num_tools, "max_tools"),
            ("bytes of tools and their schemas", num_schema_bytes, "max_schema_bytes"),
        ):
            limit = getattr(self, name)
            if limit is not None and value > limit:
                raise LimitExceeded(what=what, value=value, limit=limit, setting=f"guard.{name}")


class Shields:
    """Makes the shield of each request.

    Args:
        settings: rules, and overrides by model and account.
        extensions: redactors by the name of their rule.
        metrics: count findings by rule and action.

    Attributes:
        is_idle: nothing is set, so nothing holds for anybody.

    Raises:
        ConfigError: a rule that does not exist, or one with two actions.
    """

    def __init__(
        self, settings: GuardSettings, *, metrics: Metrics, extensions: Mapping[str, Redactor] | None = None
    ) -> None:
        self._rules = RuleBook(settings, extensions)
        self._metrics = metrics
        named = {Action.BLOCK: settings.block, Action.REDACT: settings.redact, Action.REPORT: settings.report}
        self._policy = overlaid(Policy(actions=self._actions(named, "guard")), settings)
        self._overrides = settings.overrides
        self.is_idle = settings == GuardSettings()
        for override in settings.overrides:  # a wrong one stops the start, not a request
            self._overridden(self._policy, override)

    def policy(self, *, model: str, account_id: str) -> Policy:
        """What the settings want for a model and an account."""
        policy = self._policy
        for override in self._overrides:
            if override.model in (None, model) and override.account in (None, account_id):
                policy = self._overridden(policy, override)
        return policy

    def asked(self, policy: Policy, *, redact: str | None, restore: str | None) -> Policy:
        """The policy with what the request itself asks for, which may add to it and never take from it.

        Args:
            policy: of the settings.
            redact: rules to redact by besides, parted by commas; None for none.
            restore: `no` leaves placeholders in the answer; `yes` and None want what the settings say.

        Raises:
            InvalidParameter: a rule that does not exist, or another word than yes and no.
        """
        if redact is not None:
            named = [name.strip().lower() for name in redact.split(",") if name.strip()]
            unknown = [name for name in named if name not in self._rules.names]
            if unknown:
                raise InvalidParameter(
                    f"X-Seekd-Redact: there is no rule {unknown[0]!r}. The rules are {', '.join(self._rules.names)}."
                )
            added = {name: Action.REDACT for name in named if policy.actions.get(name) is not Action.BLOCK}
            policy = replace(policy, actions={**policy.actions, **added})
        if restore is not None:
            if restore not in ("yes", "no"):
                raise InvalidParameter(f"X-Seekd-Restore is {restore!r}; it is yes or no.")
            policy = replace(policy, restore=policy.restore and restore == "yes")
        return policy

    def shield(self, policy: Policy) -> Shield:
        """What stands before one request."""
        return Shield(self._rules, policy, self._metrics)

    def _overridden(self, policy: Policy, override: OverrideSetting) -> Policy:
        named = {action: getattr(override, action) for action in Action}
        given = {action: rules for action, rules in named.items() if rules is not None}
        kept = {rule: action for rule, action in policy.actions.items() if action not in given}
        actions = {**kept, **self._actions(given, "guard.overrides")}
        return replace(overlaid(policy, override), actions=actions)

    def _actions(self, named: Mapping[Action, Sequence[str]], place: str) -> Mapping[str, Action]:
        actions: dict[str, Action] = {}
        for action, rules in named.items():
            for rule in rules:
                if rule not in self._rules.names:
                    raise ConfigError(
                        f"{place}.{action}: there is no rule {rule!r}. The rules are {', '.join(self._rules.names)}."
                    )
                if rule in actions:
                    raise ConfigError(f"{place}: the rule {rule} is both in {actions[rule]} and in {action}.")
                actions[rule] = action
        return MappingProxyType(actions)


class Shield:
    """Stands before one request; forgets with it.

    Attributes:
        policy: what is done.
        placeholders: for what was taken out.
    """

    def __init__(self, rules: RuleBook, policy: Policy, metrics: Metrics) -> None:
        self.policy = policy
        self.placeholders = Placeholders()
        self._rules = rules
        self._metrics = metrics
        self._found: Counter[str] = Counter()

    @property
    def asks_extensions(self) -> bool:
        """Whether code of other packages looks at the texts, which may take its time."""
        return not self._rules.extensions.isdisjoint(self.policy.actions)

    @property
    def found(self) -> Mapping[str, int]:
        """How often each rule found something."""
        return self._found

    def screened(self, texts: Iterable[str]) -> list[str]:
        """The texts as a model may see them. CPU work: a million characters of prose 20 ms, of mere findings 0.5 s.

        Raises:
            SensitiveContent: a rule that blocks found something; what it was is not said.
        """
        texts = list(texts)
        actions = self.policy.actions
        found = [self._rules.find(text, actions) for text in texts]
        self._found.update(finding.rule for findings in found for finding in findings)
        for rule, number in self._found.items():
            self._metrics.count_findings(rule=rule, action=actions[rule], number=number)
        blocked = [rule for rule in self._found if actions[rule] is Action.BLOCK]
        if blocked:
            raise SensitiveContent(rules=tuple(blocked))
        self.placeholders = Placeholders(texts)
        return [
            self.placeholders.hide(text, [finding for finding in findings if actions[finding.rule] is Action.REDACT])
            for text, findings in zip(texts, found, strict=True)
        ]

    def header(self) -> str:
        """What was found and done, for people: `email=2;redact, ip=1;report`."""
        return ", ".join(f"{rule}={number};{self.policy.actions[rule]}" for rule, number in sorted(self._found.items()))
