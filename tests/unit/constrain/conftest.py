from __future__ import annotations

import pytest

from tests.unit.constrain.random_model import ByteVocabulary, RandomModel


@pytest.fixture(scope="session")
def random_model() -> RandomModel:
    return RandomModel()


@pytest.fixture(scope="session")
def vocabulary(random_model: RandomModel) -> ByteVocabulary:
    return random_model.vocabulary
