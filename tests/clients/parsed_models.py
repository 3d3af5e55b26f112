"""Pydantic models of every kind, for the parse helpers of the OpenAI client. Runs in that client's environment.

Their texts are short and their numbers bounded, so that a small model comes to an end.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Short = Annotated[str, Field(max_length=12)]
Small = Annotated[int, Field(ge=1, le=9)]


class Fruit(BaseModel):
    name: Short
    weight: Small


class Nested(BaseModel):
    fruits: list[Fruit]
    best: Fruit = Field(description="Comes to the schema without a reference.")


class Recursive(BaseModel):
    name: Short
    children: list[Recursive]


class Linked(BaseModel):
    name: Short
    next: Linked | None = None


class Optional(BaseModel):
    nickname: Short | None = None
    fruit: Fruit | None
    age: Small | None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: Small


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: Short


class Union(BaseModel):
    pet: Cat | Dog
    other: Cat | Dog = Field(discriminator="kind")
    tag: Small | Short


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Literals(BaseModel):
    size: Literal["S", "M", "L"]
    only: Literal["x"]
    mixed: Literal[1, "two", True, None]
    colour: Colour
    again: Colour = Field(description="Comes to the schema without a reference.")


class Constrained(BaseModel):
    pair: Annotated[list[Short], Field(min_length=2, max_length=2)]
    code: Annotated[str, Field(min_length=3, max_length=3)]
    word: Annotated[str, Field(pattern="^[a-z]{1,8}$")]
    step: Annotated[int, Field(gt=0, le=30, multiple_of=3)]
    part: Annotated[float, Field(ge=0, lt=1)]
    point: tuple[Small, Small]
    day: datetime.date
    at: datetime.datetime
    id: uuid.UUID


ANSWERS: tuple[type[BaseModel], ...] = (Nested, Recursive, Linked, Optional, Union, Literals, Constrained)

TOOLS: tuple[type[BaseModel], ...] = (Nested, Linked, Optional)
"""Those that keep to the service's rules for strict tools: a type everywhere, no `oneOf`, few formats."""
