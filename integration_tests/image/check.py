"""Runs the image against the sample store as a platform does, and checks its output.

    check.py --image NAME --store EXECUTABLE --project FOLDER

`podman` must be able to run the image; tinyproxy and dnsmasq must be installed. It needs root (a resolver listens on
port 53 of a free loopback address, and the proxy gets a hosts file of its own) and ends everything that it started.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TOKEN = "good-token"
# A name that no resolver of this machine knows.
HOST = "shop.sample-store.test"
# The search domains and options that Kubernetes writes into a pod in the namespace `airbyte`.
KUBERNETES = "search airbyte.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
INCREMENTAL = ["customers", "addresses", "orders", "order_items", "order_payments", "order_statuses", "products"]
FULL_REFRESH = ["webhooks"]
# Bytes; the static binary is most of it.
LARGEST_IMAGE = 12_000_000
# The platform's script, in the form that its launcher gives it to `sh -c`.
PLATFORM = """
if [ -z "$AIRBYTE_ENTRYPOINT" ]; then
  echo "Entrypoint was not set! AIRBYTE_ENTRYPOINT must be set in the container."
  exit 127
else
  echo "Using AIRBYTE_ENTRYPOINT: $AIRBYTE_ENTRYPOINT"
fi
(
  if [ ! -f /source/inputState.json ]; then
    eval "$AIRBYTE_ENTRYPOINT read --config /source/connectorConfig.json --catalog /source/catalog.json" 2> /source/err > /source/out
  else
    eval "$AIRBYTE_ENTRYPOINT read --config /source/connectorConfig.json --catalog /source/catalog.json --state /source/inputState.json" 2> /source/err > /source/out
  fi
) &
CHILD_PID=$!
(while true; do if [ -f TERMINATED ]; then kill $CHILD_PID; exit 0; fi; sleep 10; done) &
wait $CHILD_PID
EXIT_CODE=$?
echo $EXIT_CODE > TEMP_EXIT_CODE.txt
mv TEMP_EXIT_CODE.txt exitCode.txt
exit $EXIT_CODE
"""

passed = 0


def expect(condition, what, *details):
    """Counts the checks that pass and stops at the first one that fails."""
    global passed
    if not condition:
        sys.exit("\n".join([f"FAILED: {what}", *(str(detail)[:4000] for detail in details)]))
    passed += 1
    print(f"  {what}", flush=True)


class Result:
    """The result of a container: exit code, messages, stderr."""

    def __init__(self, code, stdout, stderr):
        self.code, self.stdout, self.stderr = code, stdout, stderr

    def messages(self, kind):
        found = []
        for line in self.stdout.splitlines():
            message = json.loads(line)
            if message["type"] == kind:
                found.append(message)
        return found

    def records(self):
        """Returns the number of records of each stream."""
        return collections.Counter(message["record"]["stream"] for message in self.messages("RECORD"))

    def state(self):
        """Returns the last state of each stream, as the list that a platform passes."""
        last = {}
        for message in self.messages("STATE"):
            last[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]
        return list(last.values())

    def errors(self):
        return [m["trace"]["error"]["message"] for m in self.messages("TRACE") if m["trace"]["type"] == "ERROR"]

    def verdict(self):
        (message,) = self.messages("CONNECTION_STATUS")
        return message["connectionStatus"]["status"], message["connectionStatus"].get("message", "")

    def __str__(self):
        return f"exit code {self.code}\n{self.stdout[-2500:]}\n{self.stderr[-1000:]}"


class Image:
    """An image, run as a platform runs it: uid 1000, no capabilities, only mounts are writable."""

    LOCKED = ["--user", "1000:1000", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--read-only",
              "--read-only-tmpfs=false"]

    def __init__(self, name):
        self.name = name

    def inspect(self):
        done = subprocess.run(["podman", "image", "inspect", self.name], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)[0]

    def command(self, options, *arguments):
        return ["podman", "run", "--rm", "--network", "host", *options, self.name, *arguments]

    def run(self, *arguments, options=(), locked=True):
        options = [*(self.LOCKED if locked else ()), *options]
        done = subprocess.run(self.command(options, *arguments), capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL)
        return Result(done.returncode, done.stdout, done.stderr)

    def shell(self, script, options=(), locked=True):
        return self.run("-c", script, options=["--entrypoint", "/bin/sh", *options], locked=locked)


class Store:
    """The sample store as a separate process."""

    def __init__(self, executable, tls=None):
        arguments = [executable, *(["--tls", tls] if tls else [])]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ca_file = None
        while True:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("FAILED: the store did not start")
            if found := re.search(r"authority is in (\S+)", line):
                self.ca_file = found.group(1)
            if found := re.search(r"is at (\S+)", line):
                self.url = found.group(1)
            if "Type `change`" in line:
                break

    def change(self):
        self.process.stdin.write("change\n")
        self.process.stdin.flush()
        expect(self.process.stdout.readline().startswith("Changed"), "the store's rows change")

    def count(self, stream):
        """Returns the number of rows according to the store."""
        headers = {"X-AC-Auth-Token": TOKEN, "Cache-Control": "no-cache"}
        request = urllib.request.Request(f"{self.url}/api/v1/{stream}?count=1", headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)["total_count"]

    def stop(self):
        self.process.kill()
        self.process.wait()


def config(url, token=TOKEN):
    return {"credentials": {"auth_type": "SINGLE_STORE_ACCESS_TOKEN", "access_token": token, "store_name": url},
            "start_date": "2000-01-01T00:00:00Z"}


def configured(catalog):
    """Returns the configured catalog of the tested streams, as a platform makes it."""
    streams = []
    for stream in catalog["streams"]:
        if stream["name"] in INCREMENTAL + FULL_REFRESH:
            incremental = stream["name"] in INCREMENTAL
            streams.append({"stream": stream, "sync_mode": "incremental" if incremental else "full_refresh",
                            "destination_sync_mode": "append_dedup" if incremental else "overwrite",
                            "cursor_field": stream.get("default_cursor_field", []),
                            "primary_key": stream["source_defined_primary_key"],
                            "generation_id": 1, "minimum_generation_id": 0, "sync_id": 1})
    return {"streams": streams}


def folder(work, name, files):
    """Creates a folder to mount that uid 1000 owns and can read, as on a platform."""
    path = pathlib.Path(work, name)
    path.mkdir()
    for file, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / file).write_text(text)
        (path / file).chmod(0o644)
    os.chown(path, 1000, 1000)
    return path


def the_image_is_as_declared(image, metadata):
    facts = image.inspect()
    metadata = metadata.read_text()
    wanted = {name: re.search(rf"^  {name}: (\S+)$", metadata, re.M).group(1)
              for name in ("dockerRepository", "dockerImageTag")}
    settings = facts["Config"]
    environment = dict(line.split("=", 1) for line in settings["Env"])
    entrypoint = settings["Entrypoint"]
    expect(facts["Size"] <= LARGEST_IMAGE, f"the image has {facts['Size']:,} bytes, at most {LARGEST_IMAGE:,}")
    expect(settings["Labels"]["io.airbyte.name"] == wanted["dockerRepository"], "its label has metadata.yaml's name",
           settings["Labels"])
    expect(settings["Labels"]["io.airbyte.version"] == wanted["dockerImageTag"], "and its version", settings["Labels"])
    expect(environment["AIRBYTE_ENTRYPOINT"] == " ".join(entrypoint) and entrypoint[0].startswith("/"),
           "ENTRYPOINT is absolute, and what AIRBYTE_ENTRYPOINT says", entrypoint, environment)
    expect(settings["User"] == "1000:1000" and settings["WorkingDir"] == "/airbyte", "user and folder", settings)
    version = image.run("--version")
    expect(version.stdout == f"{wanted['dockerRepository']} {wanted['dockerImageTag']}\n", "the binary has the same version", version)


def the_container_is_locked(image):
    seen = image.shell("id -un; id -u; id -g; cat /proc/self/status; for f in /x /airbyte/x /tmp/x; do "
                       "{ echo > $f; } 2>/dev/null && echo wrote $f; done; true")
    lines = seen.stdout.splitlines()
    expect(lines[:3] == ["airbyte", "1000", "1000"], "runs as airbyte, 1000:1000", seen)
    expect(re.search(r"^CapEff:\t0+$", seen.stdout, re.M), "without capabilities", seen)
    expect("wrote" not in seen.stdout, "on a root file system that cannot be written", seen)
    seen = image.shell("cd && pwd && echo 0 > swap && mv swap exitCode.txt && cat exitCode.txt && { echo > /x; }",
                       locked=False)
    expect(seen.stdout == "/airbyte\n0\n" and seen.code != 0, "/airbyte can be written, / cannot", seen)


def by_plain_entrypoint(image, store, work):
    spec = image.run("spec")
    expect(spec.code == 0 and len(spec.messages("SPEC")) == 1, "spec", spec)
    given = folder(work, "plain", {"config.json": config(store.url), "bad.json": config(store.url, "bad-token-1234")})
    mount = ["--volume", f"{given}:/secrets:ro"]
    check = image.run("check", "--config", "/secrets/config.json", options=mount)
    expect(check.code == 0 and check.verdict()[0] == "SUCCEEDED", "check succeeds", check)
    check = image.run("check", "--config", "/secrets/bad.json", options=mount)
    expect(check.code == 0 and check.verdict()[0] == "FAILED", "check fails with a wrong token", check)
    discover = image.run("discover", "--config", "/secrets/config.json", options=mount)
    catalog = discover.messages("CATALOG")[0]["catalog"]
    expect(discover.code == 0 and len(catalog["streams"]) >= 70, f"discover: {len(catalog['streams'])} streams")
    (given / "catalog.json").write_text(json.dumps(configured(catalog)))
    read = ["read", "--config", "/secrets/config.json", "--catalog", "/secrets/catalog.json"]
    first = image.run(*read, options=mount)
    truth = {stream: store.count(stream) for stream in INCREMENTAL + FULL_REFRESH}
    expect(first.code == 0 and not first.errors(), "read exits with 0", first)
    expect(first.records() == truth and min(truth.values()) > 0,
           f"read returns as many records as the store counts: {sum(truth.values()):,} records", first.records(), truth)
    (given / "state.json").write_text(json.dumps(first.state()))
    again = image.run(*read, "--state", "/secrets/state.json", options=mount)
    expect(again.code == 0 and not again.errors(), "the second read exits with 0", again)
    expect(sum(again.records()[stream] for stream in INCREMENTAL) == 0, "and returns no record incrementally",
           again.records())
    store.change()
    (given / "state.json").write_text(json.dumps(again.state()))
    changed = image.run(*read, "--state", "/secrets/state.json", options=mount)
    wanted = {"orders": 4, "order_items": 2, "order_payments": 1, "customers": 1, "products": 1, "order_statuses": 1}
    found = {stream: count for stream, count in changed.records().items() if stream in INCREMENTAL}
    expect(changed.code == 0 and found == wanted, f"the third returns the changes: {wanted}", changed, found)
    return configured(catalog)


def in_the_platforms_form(image, store, work, catalog):
    files = {"connectorConfig.json": config(store.url), "catalog.json": catalog}
    source = folder(work, "platform", files)

    def launch(take=None):
        """Runs the launch script, reads the pipes; `take` bytes of stdout, or all."""
        for pipe in ("out", "err"):
            (source / pipe).unlink(missing_ok=True)
            os.mkfifo(source / pipe)
            (source / pipe).chmod(0o666)
        (source / "exitCode.txt").unlink(missing_ok=True)
        texts = {}

        def drain(pipe, limit):
            with open(source / pipe, "rb") as file:
                texts[pipe] = file.read() if limit is None else file.read(limit)

        readers = [threading.Thread(target=drain, args=arguments, daemon=True)
                   for arguments in (("out", take), ("err", None))]
        for reader in readers:
            reader.start()
        done = image.shell(PLATFORM, options=["--volume", f"{source}:/source", "--workdir", "/source"])
        for reader in readers:
            reader.join(30)
        code = (source / "exitCode.txt").read_text()
        return done, code, Result(done.code, texts["out"].decode(errors="replace"), texts["err"].decode())

    done, code, read = launch()
    truth = {stream: store.count(stream) for stream in INCREMENTAL + FULL_REFRESH}
    expect("Using AIRBYTE_ENTRYPOINT: /usr/local/bin/connector" in done.stdout, "the script finds the entrypoint", done)
    expect((done.code, code) == (0, "0\n"), "exitCode.txt says 0", done, code, read)
    expect(read.records() == truth and read.stderr == "", "all records come through the pipe", read.records(), truth)
    (source / "inputState.json").write_text(json.dumps(read.state()))
    done, code, again = launch()
    expect((done.code, code) == (0, "0\n"), "the second read says 0", done, code, again)
    expect(sum(again.records()[stream] for stream in INCREMENTAL) == 0, "and returns no record", again.records())
    (source / "inputState.json").unlink()
    done, code, _ = launch(take=4096)
    expect((done.code, code) == (74, "74\n"), "a pipe that is closed early ends it with 74", done, code)
    (source / "connectorConfig.json").write_text(json.dumps(config(store.url, "bad-token-1234")))
    done, code, failed = launch()
    expect((done.code, code) == (1, "1\n") and failed.errors(), "a wrong token: 1 and a TRACE error", done, code, failed)
    source_of_none = image.shell(PLATFORM, options=["--env", "AIRBYTE_ENTRYPOINT="])
    expect(source_of_none.code == 127, "an empty AIRBYTE_ENTRYPOINT is noticed by the script", source_of_none)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    sys.exit(f"FAILED: {what} did not start")


def open_port(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@contextlib.contextmanager
def resolver(work):
    """A name server that only knows HOST and otherwise answers NXDOMAIN, on its own loopback address."""
    address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
    log = pathlib.Path(work, "dns.log")
    process = subprocess.Popen(
        ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon", "--conf-file=/dev/null",
         "--bind-interfaces", f"--listen-address={address}", "--user=root", "--log-queries", "--log-facility=-",
         f"--host-record={HOST},127.0.0.1", "--local=/#/"],
        stdout=subprocess.DEVNULL, stderr=log.open("w"))
    try:
        wait_for("the resolver", lambda: open_port(address, 53))
        yield address, log
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def proxy(work):
    """tinyproxy, the only process that can resolve HOST: its mount namespace has its own hosts file."""
    port, log = free_port(), pathlib.Path(work, "proxy.log")
    hosts, settings = pathlib.Path(work, "hosts"), pathlib.Path(work, "tinyproxy.conf")
    hosts.write_text(f"127.0.0.1 localhost {HOST}\n")
    settings.write_text(f'Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Connect\nLogFile "{log}"\n')
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c",
         f"mount --bind '{hosts}' /etc/hosts && exec tinyproxy -d -c '{settings}'"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("the proxy", lambda: open_port("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.kill()
        process.wait()


def in_a_companys_network(image, executable, work, catalog):
    store = Store(executable, tls=HOST)
    try:
        with resolver(work) as (nameserver, queries), proxy(work) as (proxy_url, connections):
            company(image, store, work, catalog, nameserver, queries, proxy_url, connections)
    finally:
        store.stop()


def company(image, store, work, catalog, nameserver, queries, proxy_url, connections):
    port = store.url.rsplit(":", 1)[1]
    given = folder(work, "company", {
        "config.json": config(store.url), "catalog.json": catalog,
        "ca.pem": pathlib.Path(store.ca_file).read_text(),
        "kubernetes.conf": f"nameserver {nameserver}\n{KUBERNETES}",
        # Nobody listens there, so no name is resolved.
        "nowhere.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    })
    mount = ["--volume", f"{given}:/secrets:ro"]
    kubernetes = [*mount, "--volume", f"{given}/kubernetes.conf:/etc/resolv.conf:ro"]
    nowhere = [*mount, "--volume", f"{given}/nowhere.conf:/etc/resolv.conf:ro"]
    authority = ["--env", "SSL_CERT_FILE=/secrets/ca.pem"]
    check = ["check", "--config", "/secrets/config.json"]

    result = image.run(*check, options=kubernetes)
    expect(result.verdict()[0] == "FAILED" and "certificate" in result.verdict()[1],
           "an authority nobody knows is refused", result)
    result = image.run(*check, options=[*kubernetes, *authority])
    expect(result.verdict()[0] == "SUCCEEDED", "a company's authority by SSL_CERT_FILE, names by Kubernetes' DNS", result)
    asked = queries.read_text()
    expect(f"{HOST}.airbyte.svc.cluster.local from" in asked and f"query[A] {HOST} from" in asked,
           "search domains were tried before the name itself", asked)
    bundle = ["--volume", f"{given}/ca.pem:/etc/ssl/certs/ca-certificates.crt:ro"]
    result = image.run(*check, options=[*kubernetes, *bundle])
    expect(result.verdict()[0] == "SUCCEEDED", "or mounted over the image's own bundle", result)
    read = ["read", "--config", "/secrets/config.json", "--catalog", "/secrets/catalog.json"]
    first = image.run(*read, options=[*kubernetes, *authority])
    expect(first.code == 0 and first.records()["orders"] == 500, "a read over TLS and that DNS", first)

    result = image.run(*check, options=[*nowhere, *authority])
    expect(result.verdict()[0] == "FAILED", "without DNS and proxy the store cannot be reached", result)
    through = ["--env", f"HTTPS_PROXY={proxy_url}"]
    result = image.run(*check, options=[*nowhere, *authority, *through])
    expect(result.verdict()[0] == "SUCCEEDED", "through HTTPS_PROXY it can: the proxy resolves the name", result)
    second = image.run(*read, options=[*nowhere, *authority, *through])
    expect(second.code == 0 and second.records() == first.records(), "a read through the proxy returns the same",
           second, second.records())
    wait_for(f"a tunnel to {HOST}:{port}", lambda: f"CONNECT {HOST}:{port}" in connections.read_text())
    expect(True, "the proxy's log names the tunnel")
    dead = ["--env", f"HTTPS_PROXY=http://127.0.0.1:{free_port()}"]
    result = image.run(*check, options=[*kubernetes, *authority, *dead])
    expect(result.verdict()[0] == "FAILED", "a proxy that is down is not gone round", result)
    result = image.run(*check, options=[*kubernetes, *authority, *dead, "--env", f"NO_PROXY={HOST}"])
    expect(result.verdict()[0] == "SUCCEEDED", "with NO_PROXY the store is reached directly", result)


def the_readmes_lines(image, store, project, work, catalog):
    """Runs the lines of the README's section unchanged, with a replacement for docker."""
    section = (project / "README.md").read_text().split("\n## Docker image\n")[1].split("\n## ")[0]
    lines = [line for line in section.split("```sh\n")[1].split("```")[0].splitlines() if line.startswith("docker run")]
    place = folder(work, "readme", {})
    secrets = place / "secrets"
    secrets.mkdir()
    for name, content in (("config.json", config(store.url)), ("catalog.json", catalog)):
        (secrets / name).write_text(json.dumps(content))
    environment = {**os.environ, "PATH": f"{project}/integration_tests/image:{os.environ['PATH']}"}
    for line in lines:
        done = subprocess.run(["sh", "-c", line], cwd=place, env=environment, capture_output=True, text=True, timeout=300)
        expect(done.returncode == 0, f"README: {line}", done.stdout, done.stderr)
    expect(len(lines) >= 3 and '"type":"RECORD"' in (place / "first.jsonl").read_text(), "and records came")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--project", required=True, type=pathlib.Path)
    given = parser.parse_args()
    image, project = Image(given.image), given.project.resolve()
    work = tempfile.mkdtemp(prefix="image-")
    os.chmod(work, 0o755)
    store = Store(given.store)
    try:
        the_image_is_as_declared(image, project / "metadata.yaml")
        the_container_is_locked(image)
        catalog = by_plain_entrypoint(image, store, work)
        in_the_platforms_form(image, store, work, catalog)
        the_readmes_lines(image, store, project, work, catalog)
        in_a_companys_network(image, given.store, work, catalog)
    finally:
        store.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(f"image: {passed} passed, 0 failed")


if __name__ == "__main__":
    main()
