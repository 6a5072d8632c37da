"""Reads the YAML that `lineate apply` reads: entities, views, services."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import yaml

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:ms|us|[dhms]))+")
_DURATION_PART = re.compile(r"(\d+)(ms|us|[dhms])")


class InputError(Exception):
    """The definitions or the files are wrong; the message says what would be right."""


@dataclass(frozen=True)
class Column:
    name: str
    type: pa.DataType


@dataclass(frozen=True)
class View:
    name: str
    keys: tuple[Column, ...]
    event_time: str
    created_time: str | None
    ttl_us: int | None
    naive_utc: bool
    features: tuple[Column, ...]

    @property
    def default_mode(self) -> str:
        return "known" if self.created_time else "event"


@dataclass(frozen=True)
class Use:
    """One view as a service uses it: under an alias, with its keys taken from these spine columns, in order."""

    view: View
    alias: str
    spine_keys: tuple[str, ...]
    features: list[Column] = field(default_factory=list)


@dataclass(frozen=True)
class Service:
    name: str
    uses: dict[str, Use]
    """By alias."""
    outputs: list[tuple[str, Column]]
    """Alias and feature of each output column, in order."""


def duration_us(text: str) -> int:
    """Microseconds of `3h`, `1d12h`, `500us`."""
    if not _DURATION.fullmatch(str(text)):
        raise InputError(f"`{text}` is not a duration; write it as `1d12h` or `500us`")
    units = {"us": 1, "ms": 1_000} | {unit: seconds * 1_000_000 for unit, seconds in _SECONDS.items()}
    return sum(int(number) * units[unit] for number, unit in _DURATION_PART.findall(text))


def load(path: str | Path, service_name: str) -> Service:
    """The service of this name with everything it uses."""
    document = yaml.safe_load(Path(path).read_text())
    entities = {entity["name"]: entity for entity in document.get("entities", [])}
    views = {view["name"]: _view(view, entities) for view in document.get("views", [])}
    services = {service["name"]: service for service in document.get("services", [])}
    return _service(_known(services, service_name, "service"), views)


def _known(things: dict, name: str, what: str):
    if name not in things:
        raise InputError(f"no {what} `{name}`; there are {', '.join(sorted(things)) or 'none'}")
    return things[name]


def _view(raw: dict, entities: dict) -> View:
    entity = _known(entities, raw["entity"], "entity")
    created = raw.get("created_time")
    return View(
        name=raw["name"],
        keys=tuple(_column(key) for key in entity["keys"]),
        event_time=raw["event_time"],
        created_time=created,
        ttl_us=duration_us(raw["ttl"]) if raw.get("ttl") is not None else None,
        naive_utc=raw.get("naive_times") == "utc",
        features=tuple(_column(feature) for feature in raw["features"]),
    )


def _column(raw: dict) -> Column:
    return Column(raw["name"], arrow_type(raw["type"]))


def _service(raw: dict, views: dict[str, View]) -> Service:
    uses: dict[str, Use] = {}
    outputs: list[tuple[str, Column]] = []
    for item in raw["features"]:
        view, alias, spine_keys, wanted = _item(item, views)
        use = uses.setdefault(alias, Use(view, alias, spine_keys))
        if (use.view, use.spine_keys) != (view, spine_keys):
            raise InputError(f"`{alias}` stands for two views or two sets of keys in service `{raw['name']}`")
        by_name = {feature.name: feature for feature in view.features}
        for name in wanted or by_name:
            feature = _known(by_name, name, f"feature of view `{view.name}`")
            if feature in use.features:
                raise InputError(f"`{alias}.{name}` occurs twice in service `{raw['name']}`")
            use.features.append(feature)
            outputs.append((alias, feature))
    return Service(raw["name"], uses, outputs)


def _item(item: str | dict, views: dict[str, View]) -> tuple[View, str, tuple[str, ...], list[str]]:
    """View, alias, spine columns of the keys, and the features named (none means all)."""
    if isinstance(item, str):
        view_name, _, feature = item.partition(".")
        view = _known(views, view_name, "view")
        wanted = [] if feature in ("", "*") else [feature]
        return view, view.name, tuple(key.name for key in view.keys), wanted
    view = _known(views, item["view"], "view")
    renamed = item.get("keys", {})
    for name in renamed:
        _known({key.name: key for key in view.keys}, name, f"key of view `{view.name}`")
    spine_keys = tuple(renamed.get(key.name, key.name) for key in view.keys)
    wanted = [name for name in item.get("features", []) if name != "*"]
    return view, item.get("as", view.name), spine_keys, wanted


_SIMPLE = {
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "uuid": pa.binary(16),
    "json": pa.string(),
}


def arrow_type(text: str) -> pa.DataType:
    """The Arrow type of a feature. Of the extension types uuid and json this is the storage."""
    parsed, rest = _parse_type(text.replace(" ", ""))
    if rest:
        raise InputError(f"`{text}` is not a type: `{rest}` is left over")
    return parsed


def _parse_type(text: str) -> tuple[pa.DataType, str]:
    word = re.match(r"\w*", text).group()
    rest = text[len(word):]
    if word in _SIMPLE:
        return _SIMPLE[word], rest
    if word == "decimal" and (found := re.match(r"\((\d+),(\d+)\)", rest)):
        return pa.decimal128(int(found[1]), int(found[2])), rest[found.end():]
    if word == "vector" and (found := re.match(r"<(float32|float64),(\d+)>", rest)):
        item = pa.field("item", _SIMPLE[found[1]], nullable=False)
        return pa.list_(item, int(found[2])), rest[found.end():]
    if word == "list" and rest.startswith("<"):
        item, rest = _parse_type(rest[1:])
        return pa.list_(pa.field("item", item)), _after(rest, ">")
    if word == "map" and rest.startswith("<string,"):
        value, rest = _parse_type(rest[len("<string,"):])
        return pa.map_(pa.string(), value), _after(rest, ">")
    if word == "struct" and rest.startswith("<"):
        fields = []
        while rest[0] in "<,":
            name, _, rest = rest[1:].partition(":")
            data_type, rest = _parse_type(rest)
            fields.append(pa.field(name, data_type))
        return pa.struct(fields), _after(rest, ">")
    raise InputError(f"`{text}` does not begin with a type")


def _after(text: str, mark: str) -> str:
    if not text.startswith(mark):
        raise InputError(f"expected `{mark}` before `{text}`")
    return text[len(mark):]
