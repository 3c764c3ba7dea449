"""AsyncAPI 3.0 document of the public topics, generated from the catalogue of topics and the schemas of records."""

from __future__ import annotations

from typing import Any, Final

import yaml
from typing_extensions import override

from config.settings import Settings
from streams.event_schemas import KINDS, EventKind
from streams.topics import DEAD_LETTERS, Topic, Topics
from streams.wire import VERSION

ASYNCAPI: Final = "3.0.0"

_KAFKA_BINDING: Final = "0.5.0"
_BOUND_CONFIGS: Final = ("cleanup.policy", "retention.ms", "max.message.bytes")
"""Topic configuration that the Kafka binding of AsyncAPI knows."""


def asyncapi_document(settings: Settings) -> dict[str, Any]:
    """Return the AsyncAPI document of the public topics, named and shaped as the settings want them.

    ``receive`` operations are what slawatch reads (publish there), ``send`` operations what it writes (subscribe).
    """
    topics = Topics(settings)
    public = [topic for topic in topics.all if _kinds_on(topic)]
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "slawatch",
            "version": str(VERSION),
            "description": (
                "Public topics of a streaming SLA monitor on Kafka. Values are JSON. Unknown fields are tolerated, "
                "wrong types are rejected; within a version fields are only added, and only with a default."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {_channel_id(topic): _channel(topic) for topic in public},
        "operations": {_operation_id(topic): _operation(topic) for topic in public},
        "components": {
            "messages": {name: _message(kind) for name, kind in KINDS.items()},
            "schemas": {name: kind.schema() for name, kind in KINDS.items()},
        },
    }


def asyncapi_text(settings: Settings) -> str:
    """Return the document as YAML."""
    text: str = yaml.dump(
        asyncapi_document(settings), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=120
    )
    return text


class _WithoutAliases(yaml.SafeDumper):
    """Writes what occurs twice twice: anchors and aliases are not part of JSON, which AsyncAPI documents are."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _kinds_on(topic: Topic) -> list[EventKind]:
    return [kind for kind in KINDS.values() if topic.logical in kind.topics]


def _is_input(topic: Topic) -> bool:
    return all(kind.is_input for kind in _kinds_on(topic))


def _channel_id(topic: Topic) -> str:
    return topic.logical.removeprefix("sla.")


def _operation_id(topic: Topic) -> str:
    return f"{'read' if _is_input(topic) else 'write'}-{_channel_id(topic)}"


def _channel(topic: Topic) -> dict[str, Any]:
    configs: dict[str, Any] = {name: topic.configs[name] for name in _BOUND_CONFIGS if name in topic.configs}
    bound = {name: value.split(",") if name == "cleanup.policy" else int(value) for name, value in configs.items()}
    return {
        "address": topic.name,
        "description": f"{topic.value}. Key: {topic.key}. Written by: {topic.writer}.",
        "messages": {kind.name: {"$ref": f"#/components/messages/{kind.name}"} for kind in _kinds_on(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "replicas": topic.replication_factor,
                "topicConfiguration": bound,
                "bindingVersion": _KAFKA_BINDING,
            }
        },
    }


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{_channel_id(topic)}"
    return {
        "action": "receive" if _is_input(topic) else "send",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{kind.name}"} for kind in _kinds_on(topic)],
    }


def _message(kind: EventKind) -> dict[str, Any]:
    message: dict[str, Any] = {"name": kind.name, "title": kind.title, "summary": kind.summary}
    schema = {"$ref": f"#/components/schemas/{kind.name}"}
    if DEAD_LETTERS in kind.topics:
        # The value is whatever could not be taken in: it has no schema.
        message |= {"headers": schema, "examples": [{"headers": dict(kind.example)}]}
    else:
        message |= {
            "contentType": "application/json",
            "payload": schema,
            "examples": [{"payload": dict(kind.example)}],
        }
    message["bindings"] = {
        "kafka": {"key": {"type": "string", "description": kind.key}, "bindingVersion": _KAFKA_BINDING}
    }
    return message
