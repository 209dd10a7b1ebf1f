"""The HTTP reference, made from the description that the server itself gives of its API."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
_REF = "#/components/schemas/"
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {}"),
    ("maxItems", "at most {}"),
)


def page(api: Schema) -> str:
    """The whole page, as Markdown."""
    parts = [
        "# HTTP",
        "Made from the server's own description, which it gives at `/openapi.json`; the tests hold "
        "it to that. What the members mean: [the server](../server.md).",
        "\n".join(_paths(api["paths"])),
        "## Statuses",
        "\n".join(_statuses(api["paths"])),
    ]
    for name, schema in api["components"]["schemas"].items():
        parts += [f"## {name}", "\n\n".join(_record(schema))]
    return "\n\n".join(parts) + "\n"


def _paths(paths: Schema) -> Iterator[str]:
    yield "| path | does | body | answer |\n|---|---|---|---|"
    for path, methods in paths.items():
        for method, call in methods.items():
            cells = (
                f"`{method.upper()} {path}`",
                call["summary"],
                _body(call.get("requestBody", {})),
                _body(call["responses"]["200"]),
            )
            yield f"| {' | '.join(cells)} |"


def _body(message: Schema) -> str:
    content = message.get("content", {})
    schemas = (_kind(media["schema"]) if "schema" in media else "" for media in content.values())
    return next(filter(None, schemas), ", ".join(content))


def _statuses(paths: Schema) -> Iterator[str]:
    yield "| status | means |\n|---|---|"
    calls = [call for methods in paths.values() for call in methods.values()]
    known = {
        status: reply["description"]
        for call in calls
        for status, reply in call["responses"].items()
        if status != "200"
    }
    yield from (f"| {status} | {text} |" for status, text in sorted(known.items()))


def _record(schema: Schema) -> Iterator[str]:
    """One table for an object, one for each of several that it may be."""
    for one in schema.get("anyOf", [schema]):
        if "properties" not in one:
            yield _kind(one)
            continue
        needed = one.get("required", ())
        rows = ["| member | | |\n|---|---|---|"]
        for name, member in one["properties"].items():
            mark = ", needed" if name in needed else ""
            rows.append(f"| `{name}` | {_kind(member)}{mark} | {member.get('description', '')} |")
        yield "\n".join(rows)


def _kind(schema: Schema) -> str:
    """What a value must be, in words."""
    if name := schema.get("$ref", "").removeprefix(_REF):
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(filter(None, map(_kind, schema["anyOf"])))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"`{value}`" for value in values if value is not None)
    types = schema.get("type", "any")
    words = [word for word in ([types] if isinstance(types, str) else types) if word != "null"]
    if words == ["array"]:
        words = [f"array of {_kind(schema['items'])}" if "items" in schema else "array"]
    if words == ["object"] and "properties" in schema:
        words = [f"object with {', '.join(f'`{name}`' for name in schema['properties'])}"]
    bounds = [text.format(f"{schema[key]:,}") for key, text in _BOUNDS if key in schema]
    return " or ".join(words) + (f" ({', '.join(bounds)})" if bounds else "")
