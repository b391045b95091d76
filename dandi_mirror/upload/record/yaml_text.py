"""Read and write YAML that people edit: times stay text, and a small file cannot become a large value."""

from __future__ import annotations

from typing import Any

LONGEST = 4 * 1024 * 1024
"""Letters of a record; real ones have some thousands."""


class NotYaml(ValueError):
    """Text that is not YAML, or uses what JSON does not have."""


def read_yaml(text: str) -> object:
    """The value of a YAML or JSON text, of the types that JSON has.

    Raises:
        NotYaml: it cannot be read, is too long, or refers to a value from elsewhere (``*name``), by which a few lines
            can become gigabytes.
    """
    import yaml

    if len(text) > LONGEST:
        raise NotYaml(f"longer than {LONGEST:,} letters")
    try:
        return yaml.load(text, Loader=_loader())
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise NotYaml(" ".join(str(error).split())[:200]) from None


def write_yaml(value: object) -> str:
    """Write a value for people: block style, in the order that the keys have."""
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads the types of JSON, and no aliases."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            """Refuse a reference to a value from elsewhere."""
            if self.check_event(yaml.AliasEvent):
                raise NotYaml("it refers to a value from elsewhere (*name); write the value out")
            return super().compose_node(parent, index)

    Loader.yaml_implicit_resolvers = {
        letter: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
