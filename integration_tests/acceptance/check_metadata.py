"""Checks metadata.yaml with Airbyte's JSON schema and model, and with the upload rules that need no network.

    check_metadata.py PROJECT FILE PAGE

FILE is a metadata.yaml of the project, and PAGE the documentation of its connector.
"""

import copy
import json
import pathlib
import re
import sys

import airbyte_connector_models
import jsonschema
import yaml
from airbyte_connector_models.metadata.v0 import connector_metadata_definition_v0

MODEL = connector_metadata_definition_v0.ConnectorMetadataDefinitionV0


def schema():
    folder = pathlib.Path(next(iter(airbyte_connector_models.__path__)), "metadata", "v0")
    return without_ids(json.loads((folder / "ConnectorMetadataDefinitionV0.json").read_text()))


def without_ids(value):
    """Nested `$id`s would make the references of the file point elsewhere."""
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key != "$id" or not isinstance(item, str)}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def upload_rules(metadata, folder, page):
    """Returns faults that the registry refuses in addition to the schema."""
    data = metadata["data"]
    version, image = data["dockerImageTag"], data["dockerRepository"]
    breaking = data.get("releases", {}).get("breakingChanges", {})
    rules = {
        "dockerImageTag is a semantic version": re.fullmatch(r"\d+\.\d+\.\d+(-rc\.\d+)?", version),
        "a release candidate is rolled out step by step": "-rc" not in version
        or data["releases"]["rolloutConfiguration"]["enableProgressiveRollout"],
        "a major version says what breaks": version.endswith(".0.0") <= (version in breaking or version == "1.0.0"),
        "there is a tag with the language": any(tag.startswith("language:") for tag in data["tags"]),
        "every tag is key:value": all(re.fullmatch(r"[\w-]+:[\w-]+", tag) for tag in data["tags"]),
        "the page of the documentation is there": page.is_file(),
        "the icon is there": (folder / data["icon"]).is_file(),
        "PyPI is not declared": "remoteRegistries" not in data,
        "the repository has no tag": ":" not in image,
        "allowedHosts and suggestedStreams are there": data["allowedHosts"]["hosts"] and data["suggestedStreams"]["streams"],
    }
    return [rule for rule, holds in rules.items() if not holds]


def problems(metadata, folder, page):
    validator = jsonschema.Draft7Validator(schema(), format_checker=jsonschema.FormatChecker())
    found = [f"schema: {error.json_path}: {error.message}" for error in validator.iter_errors(metadata)]
    try:
        MODEL.model_validate(metadata)
    except ValueError as error:
        found.append(f"model: {error}")
    try:
        found += [f"upload: {rule}" for rule in upload_rules(metadata, folder, page)]
    except KeyError as error:
        found.append(f"upload: {error} is missing")
    return found


def main():
    file, page = (pathlib.Path(sys.argv[1], path) for path in sys.argv[2:4])
    metadata = yaml.safe_load(file.read_text())
    found = problems(metadata, file.parent, page)
    # A check that nothing can fail proves nothing.
    spoilt = {"definitionId": "no uuid", "dockerImageTag": "latest", "connectorSubtype": "shop", "supportLevel": "much",
              "tags": ["rust"], "documentationUrl": "no address", "unknown": 1}
    for key, value in spoilt.items():
        other = copy.deepcopy(metadata)
        other["data"][key] = value
        if not problems(other, file.parent, page):
            found.append(f"the check did not notice that {key} is {value!r}")
    if found:
        sys.exit(f"{file}:\n" + "\n".join(found))
    print(f"{file} is valid; {len(spoilt)} spoilt ones are not")


if __name__ == "__main__":
    main()
