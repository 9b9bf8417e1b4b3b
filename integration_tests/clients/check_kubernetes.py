"""Validates the manifests of examples/kubernetes, and runs the container's arguments twice with a change in between."""

import json
import sys

import kubernetes_validate
import yaml

from client import EXAMPLES, Client
from sample import TOKEN

# The oldest release that is still maintained, and the newest whose schemas the package has.
RELEASES = ("1.33", "1.37")


class Strict(yaml.SafeLoader):
    """Refuses a repeated key, of which YAML would silently keep one."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.YAMLError(f"a key is there twice: {keys}")
        return super().construct_mapping(node, deep)


def main() -> int:
    client = Client("kubernetes")
    text = (EXAMPLES / "kubernetes" / "cronjob.yaml").read_text()
    documents = {document["kind"]: document for document in yaml.load_all(text, Strict)}
    client.verdict.same("kinds", ["ConfigMap", "PersistentVolumeClaim", "CronJob"], list(documents))
    for release in RELEASES:
        for kind, document in documents.items():
            fault = None
            try:
                kubernetes_validate.validate(document, release, strict=True)
            except kubernetes_validate.ValidationError as error:
                fault = f"{error.message} at {list(error.path)}"
            client.verdict.same(f"{kind} by the schema of {release}", None, fault)

    job = documents["CronJob"]["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    client.verdict.same("no second run while the first runs", "Forbid", job["concurrencyPolicy"])
    client.verdict.same("the user of the image", (1000, True), (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]))
    client.verdict.same("the root file system is read-only", True, container["securityContext"]["readOnlyRootFilesystem"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    client.verdict.same("each volume is mounted", {volume["name"] for volume in pod["volumes"]}, mounted)
    client.verdict.same("no token in the manifest", False, TOKEN in text)

    config = json.loads(documents["ConfigMap"]["data"]["config.json"])
    config["credentials"]["store_name"] = client.store.url
    config["start_date"] = client.config["start_date"]
    for name in ("config", "data"):
        (client.folder / name).mkdir()
    (client.folder / "config" / "config.json").write_text(json.dumps(config))
    arguments = [
        argument.replace("=/config/", f"={client.folder}/config/").replace("=/data/", f"={client.folder}/data/")
        for argument in container["args"]
    ]
    (secret,) = container["env"]
    command = [client.given.source, *arguments]
    client.two_runs(command, " ".join(arguments), client.folder / "data" / "rows", {secret["name"]: TOKEN})
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
