"""A kit by HTTP, for tests in other languages: below `/_seekd` of a scripted server.

GET /_seekd/requests    what the program has sent, oldest first
POST /_seekd/replies    further rules, as a script file has them, in JSON
POST /_seekd/reset      forget requests and rules, those of the script file aside
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from seekd.errors import ConfigError, InvalidParameter, MalformedBody, SeekdError
from seekd.testing.kit import Kit
from seekd.testing.script_file import apply_rules
from seekd.wire.dialect import CLASSIC
from seekd.wire.failures import JSON, failure_response


def control_app(kit: Kit, *, restart: Callable[[], None]) -> ASGIApp:
    """The routes.

    Args:
        kit: of the server.
        restart: makes the rules of the script file again.
    """

    async def requests(_: Request) -> Response:
        seen = [
            {"path": one.path, "body": one.body, "status": one.status, "rule": one.rule, "fault": one.fault}
            for one in kit.requests
        ]
        unmatched = [reason for _, reason in kit.unmatched]
        return Response(msgspec.json.encode({"requests": seen, "unmatched": unmatched}), media_type=JSON)

    async def replies(request: Request) -> Response:
        try:
            decoded = msgspec.json.decode(await request.body())
            apply_rules(decoded if isinstance(decoded, dict) else {}, kit)
        except msgspec.DecodeError:
            return _refused(MalformedBody())
        except ConfigError as error:
            return _refused(InvalidParameter(error.message))
        except InvalidParameter as error:
            return _refused(error)
        return Response(status_code=204)

    async def reset(_: Request) -> Response:
        kit.reset()
        restart()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/_seekd/requests", requests, methods=["GET"]),
            Route("/_seekd/replies", replies, methods=["POST"]),
            Route("/_seekd/reset", reset, methods=["POST"]),
        ]
    )


def _refused(error: SeekdError) -> Response:
    failure = failure_response(error, CLASSIC)
    return Response(failure.body, status_code=failure.status, media_type=JSON)
