"""
The JSON schema of the chart's values: of the node config by its own models, of everything else from here.

`python deploy/chart/schema.py` writes `deploy/chart/twinway/values.schema.json`; a test compares both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twinway import plugins
from twinway.config import NodeConfig

SCHEMA = Path(__file__).parent / "twinway" / "values.schema.json"

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
PATH: Schema = {"type": "string", "pattern": "^/"}
OBJECT: Schema = {"type": "object"}
OBJECTS: Schema = {"type": "array", "items": OBJECT}
CAPABILITY: Schema = {"type": "string", "pattern": "^[A-Z_]+$", "not": {"pattern": "^CAP_"}}


def schema() -> Schema:
    """The schema of all values."""
    config = _config()
    definitions = config.pop("$defs")
    values = {
        "image": _closed(
            repository=NAME,
            tag=TEXT,
            pullPolicy={"enum": ["IfNotPresent", "Always", "Never"]},
            pullSecrets={"type": "array", "items": _closed(name=NAME)},
        ),
        "config": config,
        "apiServer": _closed(host=TEXT, port={"type": "integer", "minimum": 1, "maximum": 65535}),
        "hostPaths": _closed(cniConf=PATH, cniBin=PATH, netns=PATH, bpffs=PATH, cgroup=PATH, run=PATH),
        "uninstall": _closed(
            datapath={"enum": ["keep", "remove"]},
            keepPlugin={"type": "boolean"},
            timeoutSeconds={"type": "integer", "minimum": 1},
        ),
        "capabilities": {"type": "array", "items": CAPABILITY, "uniqueItems": True},
        "resources": OBJECT,
        "priorityClassName": TEXT,
        "nodeSelector": OBJECT,
        "tolerations": OBJECTS,
        "affinity": OBJECT,
        "updateStrategy": OBJECT,
        "terminationGracePeriodSeconds": {"type": "integer", "minimum": 1},
        "podAnnotations": OBJECT,
        "podLabels": OBJECT,
        "extraEnv": OBJECTS,
        "global": OBJECT,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_closed(**values),
        "required": sorted(set(values) - {"global"}),
        "$defs": definitions,
    }


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=2) + "\n"


def _closed(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _config() -> Schema:
    found = NodeConfig.model_json_schema()
    drivers: Schema = {"type": "object", "properties": {}}
    for name in plugins.names():
        section = plugins.load(name).Options.model_json_schema()
        found["$defs"] |= section.pop("$defs", {})
        drivers["properties"][name] = section
    # drivers of others have sections of their own
    found["properties"]["drivers"] |= drivers
    return found


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
