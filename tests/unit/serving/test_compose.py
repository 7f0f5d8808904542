"""docker-compose.yml says nothing that the code does not know: every setting, port, path, variable and metric."""

import ast
import importlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from rec_sys.entry import compose_settings
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.settings import Section, ServerIndex, TritonSettings
from tests.compose_files import COMPOSE, CONTAINER, REPOSITORY, VARIABLE, compose, fill_in, module_runs
from triton_utils.ports import Ports
from triton_utils.server import TritonServer

ADDRESS = re.compile(r"(?<![\w.-])([a-z][a-z-]*|127\.0\.0\.1):(\d{2,5})(?!\d)")
TRITONS = ("triton", "triton-1", "triton-2", "triton-gpu")
DASHBOARD = json.loads((CONTAINER / "grafana" / "dashboards" / "rec_sys.json").read_text(encoding="utf-8"))
PROMETHEUS = yaml.safe_load((CONTAINER / "prometheus.yml").read_text(encoding="utf-8"))
# What each service listens at inside its container; for the others' images, their makers' defaults.
LISTENS = {
    "qdrant": {6333},
    "qdrant-1": {6333, 6335},
    "qdrant-2": {6333, 6335},
    "qdrant-cluster": {6333},
    "postgres": {5432},
    "mlflow": {5000},
    "triton": {8000, 8001, 8002},
    "triton-1": {8000, 8001, 8002},
    "triton-2": {8000, 8001, 8002},
    "triton-gpu": {8000, 8001, 8002},
    "gateway": {8080},
    "gateway-1": {8080},
    "gateway-2": {8080},
    "proxy": {8080},
    "prometheus": {9090},
    "grafana": {3000},
}


def settings_of(module: str, arguments: list[str]) -> Section:
    """What the module would run with; raises where an argument is not one of its settings."""
    if hasattr(importlib.import_module(module), "__path__"):  # a package runs by its __main__
        module = f"{module}.__main__"
    tree = ast.parse(Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8"))
    [call] = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run_entry"
    ]
    type_name, config_name = ast.unparse(call.args[1]), ast.literal_eval(call.args[2])
    settings_type: type[Section] = getattr(importlib.import_module(module), type_name)
    return compose_settings(arguments, settings_type, config_name)


def settings_in(service: str, module: str) -> Any:
    [arguments] = [arguments for name, arguments in module_runs(compose().services[service]) if name == module]
    return settings_of(module, arguments)


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize("name", compose().own)
def test_every_command_of_our_image_is_one_that_composes(name: str) -> None:
    runs = module_runs(compose().services[name])
    assert runs or name == "mlflow"
    for module, arguments in runs:
        settings_of(module, arguments)


def test_a_setting_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(Exception, match=r"serving\.port"):
        settings_of("rec_sys.serving.gateway", ["serving.prot=8080"])


def test_the_parts_meet_at_the_same_places() -> None:
    gateway = settings_in("gateway", "rec_sys.serving.gateway")
    export = settings_in("prepare", "rec_sys.modules.model_export")
    export_gpu = settings_in("prepare-gpu", "rec_sys.modules.model_export")
    publish = settings_in("prepare", "rec_sys.vector_database.create_vectorbase")
    train = settings_in("prepare", "rec_sys.train.train")
    services = compose().services

    assert isinstance(gateway, GatewaySettings)
    assert gateway.inference.runtime == "triton"
    assert gateway.serving.host == "0.0.0.0"
    assert isinstance(gateway.index, ServerIndex)
    assert isinstance(publish.index, ServerIndex)
    assert (gateway.index.url, gateway.index.collection) == (publish.index.url, publish.index.collection)
    assert gateway.output_dir == export.output_dir == export_gpu.output_dir == publish.output_dir == train.output_dir
    assert f"ls {train.output_dir}/bundles/*/manifest.json" in services["prepare"].command[2]
    assert services["triton"].options["model-repository"] == str(export.triton.model_repository)
    assert services["triton-gpu"].options["model-repository"] == str(export_gpu.triton.model_repository)
    assert (export.export.device, export_gpu.export.device) == ("cpu", "gpu")


def test_of_each_part_of_the_cluster_one_may_be_lost() -> None:
    services = compose().services
    first, second = (settings_in(name, "rec_sys.serving.gateway") for name in ("gateway-1", "gateway-2"))
    publish = settings_in("prepare-cluster", "rec_sys.vector_database.create_vectorbase")
    export = settings_in("prepare-cluster", "rec_sys.modules.model_export")
    nodes = {name for name, service in services.items() if "qdrant-cluster" in service.aliases}

    assert first == second
    assert services["gateway-1"] == services["gateway-2"]
    assert services["triton-1"] == services["triton-2"]
    assert first.inference.triton_url == "triton-1:8001,triton-2:8001"
    assert first.inference.runtime == "triton"
    assert isinstance(first.index, ServerIndex)
    assert isinstance(publish.index, ServerIndex)
    assert first.index.url == publish.index.url
    assert first.index.url.get_secret_value() == "http://qdrant-cluster:6333"
    assert (publish.index.replicas, publish.index.write_consistency) == (len(nodes), len(nodes))
    assert publish.index.shards >= len(nodes)
    assert first.output_dir == publish.output_dir == export.output_dir
    assert services["triton-1"].options["model-repository"] == str(export.triton.model_repository)
    # A gateway writes to no disk, so that either may answer anybody.
    assert all(mount.read_only for mount in services["gateway-1"].mounts)
    # Nodes keep their data apart, and the second finds the first.
    assert len({services[name].mounts[0].source for name in nodes}) == len(nodes) == 2
    assert services["qdrant-2"].command[1:3] == ["--bootstrap", services["qdrant-1"].command[2]]
    # Only the single road starts without a profile.
    cluster = {name for name, service in services.items() if service.profiles == ["cluster"]}
    assert cluster == {"prepare-cluster", "postgres", "proxy", *nodes, "triton-1", "triton-2", "gateway-1", "gateway-2"}


def test_the_proxy_asks_both_gateways_and_is_more_impatient_than_they() -> None:
    proxied = (CONTAINER / "Caddyfile").read_text(encoding="utf-8")
    gateway = settings_in("gateway-1", "rec_sys.serving.gateway")
    port = gateway.serving.port
    assert re.findall(r"^\tto (.*)$", proxied, re.MULTILINE) == [f"gateway-1:{port} gateway-2:{port}"]
    [kept] = re.findall(r"keepalive (\d+)s", proxied)
    # A connection that the gateway ends first is an answer that is lost.
    assert int(kept) < gateway.serving.idle_timeout_seconds
    assert compose().services["proxy"].published == {int(*re.findall(r"^:(\d+) {", proxied, re.MULTILINE))}


def test_what_is_written_lies_on_volumes_that_the_readers_share() -> None:
    services = compose().services
    used = {mount.source for service in services.values() for mount in service.mounts if mount.source[0] != "."}
    assert used == set(compose().volumes)

    def volume_of(service: str, path: Path) -> tuple[str, bool, Path]:
        mount = max(
            (mount for mount in services[service].mounts if path.is_relative_to(mount.target)),
            key=lambda mount: len(mount.target.parts),
        )
        return mount.source, mount.read_only, mount.target

    export = settings_in("prepare", "rec_sys.modules.model_export")
    export_gpu = settings_in("prepare-gpu", "rec_sys.modules.model_export")
    for writer, reader, path in (
        ("prepare", "triton", export.triton.model_repository),
        ("prepare-gpu", "triton-gpu", export_gpu.triton.model_repository),
        ("prepare", "gateway", export.output_dir),
    ):
        source, read_only, target = volume_of(writer, path)
        assert not read_only
        assert volume_of(reader, path) == (source, True, target)
    # A new version is filled beside the repository and moved into it, which no mount may divide.
    assert volume_of("prepare", export.triton.model_repository)[2] != export.triton.model_repository


def test_every_address_is_a_service_at_a_port_where_it_listens() -> None:
    services = compose().services
    found = set()
    for name, service in services.items():
        for text in texts(service.model_dump(include={"command", "environment", "healthcheck"})):
            for host, port in ADDRESS.findall(fill_in(text)):
                if text.startswith("tracking.page_uri="):  # for browsers outside
                    assert int(port) in services["mlflow"].published
                    continue
                own = host in ("localhost", "127.0.0.1")
                assert int(port) in LISTENS[name if own else host], f"{name}: {host}:{port}"
                found.add(host)
        assert service.aliases <= set(LISTENS)
        # Ports that nobody listens at must not be published.
        assert service.published <= LISTENS.get(name, set()), name
    assert {"qdrant", "mlflow", "triton"} <= found


def test_our_own_ports_are_those_of_the_settings() -> None:
    services = compose().services
    gateway = settings_in("gateway", "rec_sys.serving.gateway")
    dockerfile = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
    assert LISTENS["gateway"] == {gateway.serving.port} == services["gateway"].published
    assert f"EXPOSE {gateway.serving.port}\n" in dockerfile
    assert services["mlflow"].options["port"] == "5000"
    for name in TRITONS:
        options = services[name].options
        assert {int(options[f"{protocol}-port"]) for protocol in ("http", "grpc", "metrics")} == LISTENS[name]


def test_triton_is_started_as_on_a_machine_without_containers() -> None:
    settings = TritonSettings(model_repository=Path("/models"))
    ports = Ports(settings.grpc_port, settings.http_port, settings.metrics_port)
    here = dict(
        argument[2:].partition("=")[::2]
        for argument in TritonServer(settings)._arguments(Path("/models"), Path("/backends"), ports)
    )
    local = {"backend-directory", "backend-config", "http-address", "grpc-address", "metrics-address"}
    for name in TRITONS:
        service = compose().services[name]
        assert service.command[0] == "tritonserver"
        assert service.options.keys() == here.keys() - local
        assert {key: value for key, value in service.options.items() if key != "model-repository"} == {
            key: value for key, value in here.items() if key not in {*local, "model-repository"}
        }
        # Pinned to a release, whose ONNX Runtime is known to read what is exported.
        assert re.fullmatch(r"nvcr\.io/nvidia/tritonserver:\d\d\.\d\d-py3", service.image)


def test_every_image_of_others_is_pinned() -> None:
    images = {service.image for service in compose().services.values() if service.build is None}
    assert len(images) == 6
    assert all(re.search(r":v?\d+\.\d+", image) for image in images)


def test_the_qdrant_server_is_of_the_clients_minor_version() -> None:
    [image] = {compose().services[name].image for name in ("qdrant", "qdrant-1", "qdrant-2")}
    pinned = image.partition(":v")[2]
    assert pinned.split(".")[:2] == version("qdrant-client").split(".")[:2]


def test_every_variable_of_our_services_is_read_by_the_code() -> None:
    configured = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "config").rglob("*.yaml"))
    for name, service in compose().own.items():
        for variable in service.environment:
            assert f"${{oc.env:{variable}," in configured, f"{name}: {variable}"


def test_both_sides_of_a_secret_take_it_from_the_same_variable() -> None:
    services = compose().services
    key = services["qdrant"].environment["QDRANT__SERVICE__API_KEY"]
    assert VARIABLE.fullmatch(key)
    assert len(fill_in(key)) >= 8  # an empty key would leave the server open
    for name in ("qdrant-1", "qdrant-2"):
        assert services[name].environment["QDRANT__SERVICE__API_KEY"] == key
    for name in ("gateway", "gateway-1", "gateway-2", "prepare", "prepare-cluster"):
        assert services[name].environment["QDRANT_API_KEY"] == key
    database = services["postgres"].environment
    at = f"{database['POSTGRES_USER']}:{database['POSTGRES_PASSWORD']}@postgres:5432/{database['POSTGRES_DB']}"
    assert len(fill_in(database["POSTGRES_PASSWORD"])) >= 8
    for name in ("gateway-1", "gateway-2"):
        assert services[name].environment["STORE_URL"] == f"postgresql://{at}"


def test_it_starts_without_any_variable_and_opens_nothing_to_other_machines() -> None:
    variables = VARIABLE.findall(COMPOSE.read_text(encoding="utf-8"))
    assert {name for name, _, _ in variables} == {
        "QDRANT_API_KEY",
        "TRITON_URL",
        "GATEWAY_TOKEN",
        "GATEWAY_ADDRESS",
        "GATEWAY_PORT",
        "GATEWAY_WORKERS",
        "CLUSTER_PORT",
        "POSTGRES_PASSWORD",
        "GRAFANA_PASSWORD",
        "STORE_URL",
    }
    assert all(default for _, default, _ in variables)
    for service in compose().services.values():
        assert all(fill_in(port).startswith("127.0.0.1:") for port in service.ports)


def test_services_wait_for_what_can_be_waited_for() -> None:
    services = compose().services
    for name, service in services.items():
        for other, dependency in service.depends_on.items():
            if dependency.condition == "service_healthy":
                assert services[other].healthcheck is not None, f"{name} -> {other}"
            else:
                assert services[other].restart is None, f"{name} -> {other}"
            # A service that only a profile starts cannot be waited for without it.
            assert set(services[other].profiles) <= set(service.profiles)

    def all_before(name: str) -> set[str]:
        before = set(services[name].depends_on)
        return before.union(*(all_before(other) for other in before))

    assert all_before("gateway") == {"triton", "qdrant", "prepare", "mlflow"}
    # `docker compose --profile cluster up proxy` starts the cluster alone.
    cluster = {name for name, service in services.items() if service.profiles == ["cluster"]}
    assert all_before("proxy") == cluster - {"proxy"} | {"mlflow"}
    assert all(service.healthcheck for service in services.values() if service.restart)


def test_the_image_is_built_of_what_the_context_holds() -> None:
    lines = (CONTAINER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    [build] = {service.build for service in compose().own.values()}
    assert build is not None
    assert (REPOSITORY / build.dockerfile).resolve() == (CONTAINER / "Dockerfile").resolve()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    sources = [source for sources in copied for source in sources]
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert sorted(sources) == sorted(kept) == ["config", "pyproject.toml", "rec_sys", "triton_utils", "uv.lock"]
    assert all((REPOSITORY / source).exists() for source in sources)
    assert "*" in ignored
    assert any("uv sync --locked" in line for line in lines)


def test_the_image_does_not_run_as_root_and_owns_what_it_writes() -> None:
    dockerfile = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
    [user] = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert int(user) > 0
    assert f"--uid {user} " in dockerfile
    [owned] = re.findall(r"chown rec_sys: (.*)$", dockerfile, re.MULTILINE)
    written = {mount.target for service in compose().own.values() for mount in service.mounts if not mount.read_only}
    assert written == {Path(path) for path in owned.split()}


def test_what_is_mounted_exists() -> None:
    mounted = [mount for service in compose().services.values() for mount in service.mounts if mount.source[0] == "."]
    assert len(mounted) == 5
    assert all((REPOSITORY / mount.source).exists() and mount.read_only for mount in mounted)


def test_prometheus_asks_services_where_they_tell() -> None:
    targets = set()
    for job in PROMETHEUS["scrape_configs"]:
        targets |= {target for static in job.get("static_configs", []) for target in static["targets"]}
        targets |= {f"{name}:{found['port']}" for found in job.get("dns_sd_configs", []) for name in found["names"]}
        assert job.get("metrics_path", "/metrics") == "/metrics"
    gateways = {name for name, service in compose().own.items() if "rec_sys.serving.gateway" in service.command}
    assert targets == {
        *(f"{name}:{settings_in(name, 'rec_sys.serving.gateway').serving.port}" for name in gateways),
        *(f"{name}:{compose().services[name].options['metrics-port']}" for name in TRITONS),
    }


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    grafana = compose().services["grafana"]
    [source] = yaml.safe_load((CONTAINER / "grafana/datasources/prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((CONTAINER / "grafana/providers/rec_sys.yml").read_text())["providers"]
    targets = {mount.target: mount.source for mount in grafana.mounts}
    home = Path(grafana.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    host, port = source["url"].removeprefix("http://").split(":")
    assert int(port) in LISTENS[host]
    assert (REPOSITORY / targets[Path(provider["options"]["path"])] / home.name).is_file()
    assert Path(provider["options"]["path"]) == home.parent
    used = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])}
    assert used == {source["uid"]}


def dashboard_metrics() -> set[str]:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    assert len(expressions) > 15
    return {name for text in expressions for name in re.findall(r"\b(?:gateway|nv|process)_[a-z_]+", text)}


def test_the_dashboard_names_metrics_that_the_gateway_has() -> None:
    metrics = GatewayMetrics()
    exported = {
        sample_name
        for family in metrics.registry.collect()
        for sample_name in (family.name, f"{family.name}_total", f"{family.name}_bucket", f"{family.name}_sum")
    } | {f"{family.name}_count" for family in metrics.registry.collect()}
    asked = {name for name in dashboard_metrics() if not name.startswith("nv_")}
    assert asked - exported == set()
    # And every metric of our own is on it.
    shown = {re.sub("_(total|bucket|sum|count)$", "", name) for name in asked}
    assert {family.name for family in metrics.registry.collect() if family.name.startswith("gateway_")} - shown == set()


def test_the_dashboards_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells
        assert all(x < 24 for x, _ in own)
        cells |= own
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.skipif(shutil.which("bash") is None, reason="the check of Qdrant's health is a line for bash")
@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_check_of_qdrants_health_tells_ready_from_not_ready(status: int, code: int) -> None:
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Host"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    check = compose().services["qdrant"].healthcheck
    assert check is not None
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        command = [part.replace("6333", str(server.server_port)) for part in check.test[1:]]
        done = subprocess.run(command, timeout=600, check=False)
    assert done.returncode == code
    assert asked == [("/readyz", "qdrant")]


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="the command docker-compose is not installed")
@pytest.mark.parametrize("profiles", [("cluster",), ("gpu", "monitoring")])
def test_docker_compose_accepts_the_file(profiles: tuple[str, ...], tmp_path: Path) -> None:
    given = [part for profile in profiles for part in ("--profile", profile)]
    done = subprocess.run(
        ["docker-compose", *given, "config"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    resolved = yaml.safe_load(done.stdout)["services"]
    assert set(resolved) == set(compose().services)
    assert "WARNING" not in done.stderr
    assert any(fnmatch(part, "inference.triton_url=triton:8001") for part in resolved["gateway"]["command"])
