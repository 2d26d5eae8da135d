"""One binder for requests, handshakes and messages: signatures compiled to binding plans."""

from cortado.binding.call import Call
from cortado.binding.compiler import BodyRule, compile_plan
from cortado.binding.errors import ParameterError, SignatureError
from cortado.binding.params import (
    Body,
    BodyValue,
    Cookie,
    CookieValue,
    Header,
    HeaderValue,
    Path,
    PathVar,
    Query,
    QueryParam,
)
from cortado.binding.plan import Arguments, BindingPlan, BoundParameter
from cortado.binding.results import Serialize, compile_serializer

__all__ = [
    "Arguments",
    "BindingPlan",
    "Body",
    "BodyRule",
    "BodyValue",
    "BoundParameter",
    "Call",
    "Cookie",
    "CookieValue",
    "Header",
    "HeaderValue",
    "ParameterError",
    "Path",
    "PathVar",
    "Query",
    "QueryParam",
    "Serialize",
    "SignatureError",
    "compile_plan",
    "compile_serializer",
]
