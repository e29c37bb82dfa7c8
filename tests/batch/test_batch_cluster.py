"""The same job on a cluster and behind URLs."""

from __future__ import annotations

import gzip
import os
import pickle
import signal
import subprocess
import sys

import pytest
from mailboxes import FROM, NOW, STRIP, failing, mail, mailbox, subjects
from paths import ROOT, SUPPORT

pytest.importorskip("distributed")
pytest.importorskip("moto")


class Dask:
    """A scheduler on loopback, and workers."""

    def __init__(self, environment, folder, *options):
        self.environment = environment | {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
        self.folder = folder
        self.workers = []
        self.scheduler = self.start("scheduler", *(options or ("--host", "127.0.0.1")), "--port", "0", "--no-dashboard")
        self.address = self.told(self.scheduler, "Scheduler at:").split()[-1]

    def start(self, what, *arguments):
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, *arguments]
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stderr=subprocess.PIPE, text=True)

    def told(self, process, what):
        for line in process.stderr:
            if what in line:
                return line
        raise AssertionError(what)

    def add_worker(self):
        worker = self.start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"
        )
        self.told(worker, "Registered to:")
        self.workers.append(worker)
        return worker

    def stop(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.communicate(timeout=400)


@pytest.fixture(scope="module")
def dask(environment, tmp_path_factory):
    cluster = Dask(
        environment | {"PYTHONPATH": os.pathsep.join(map(str, (SUPPORT, ROOT)))},
        tmp_path_factory.mktemp("dask"),
    )
    cluster.add_worker()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "box"
    path.write_bytes(mailbox(300, 9000))
    return path


@pytest.fixture(scope="module")
def reference(mailguard, large, tmp_path_factory):
    output = tmp_path_factory.mktemp("reference") / "out"
    assert mailguard("batch", STRIP, large, "--output", output, "--now", NOW).returncode == 0
    return output.read_bytes()


def run(environment, *arguments):
    command = [sys.executable, "-m", "mailguard", "batch", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_cluster_makes_the_same_output(dask, environment, large, reference, tmp_path):
    process = run(environment, STRIP, large, "--output", tmp_path / "out", "--now", NOW, "--cluster", dask.address)
    _, errors = process.communicate(timeout=400)
    assert (process.returncode, errors) == (0, b"")
    assert (tmp_path / "out").read_bytes() == reference
    assert os.listdir(tmp_path) == ["out"]


def test_the_work_of_a_lost_worker_is_done_again(dask, environment, large, reference, tmp_path):
    victim = dask.add_worker()
    process = run(environment, STRIP, large, "--output", tmp_path / "out", "--now", NOW, "--cluster", dask.address)
    while process.poll() is None and not list(tmp_path.glob(".out.mailguard-batch/*.tmp")):
        pass
    victim.kill()
    victim.communicate(timeout=400)
    dask.workers.remove(victim)
    _, errors = process.communicate(timeout=400)
    assert (process.returncode, errors) == (0, b"")
    assert (tmp_path / "out").read_bytes() == reference


def certificate(folder, name, issuer=None):
    """A certificate, signed by itself or by an issuer, and its key, as files; (name, key) for the next ones."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (subject, key)
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return subject, key


def encrypted(environment, folder, name):
    """The environment with Dask's own settings for a member of the cluster, whose certificate has this name."""
    settings = {"CA_FILE": f"{folder}/authority.pem"}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        settings |= {f"{role}__CERT": f"{folder}/{name}.pem", f"{role}__KEY": f"{folder}/{name}.key"}
    prefix = "DASK_DISTRIBUTED__COMM__"
    required = {f"{prefix}REQUIRE_ENCRYPTION": "True"}
    return environment | required | {f"{prefix}TLS__{key}": value for key, value in settings.items()}


@pytest.fixture(scope="module")
def tls(environment, tmp_path_factory):
    """A cluster of a scheduler and two workers that speak TLS, and the environment of a client that may."""
    folder = tmp_path_factory.mktemp("tls")
    authority = certificate(folder, "authority")
    certificate(folder, "member", authority)
    certificate(folder, "stranger")
    member = encrypted(environment, folder, "member")
    cluster = Dask(member, folder, "--host", "tls://127.0.0.1")
    try:
        for _ in range(2):
            cluster.add_worker()
        yield cluster, member, encrypted(environment, folder, "stranger")
    finally:
        cluster.stop()


def test_a_cluster_with_certificates_makes_the_same_output_though_a_worker_is_lost(tls, large, reference, tmp_path):
    cluster, member, _ = tls
    assert cluster.address.startswith("tls://")
    arguments = (STRIP, large, "--output", tmp_path / "out", "--now", NOW, "--cluster", cluster.address)
    process = run(member, *arguments)
    while process.poll() is None and not list(tmp_path.glob(".out.mailguard-batch/*.tmp")):
        pass
    victim = cluster.workers.pop()
    victim.kill()
    victim.communicate(timeout=400)
    assert process.communicate(timeout=400)[1] == b""
    assert process.returncode == 0
    assert (tmp_path / "out").read_bytes() == reference


@pytest.mark.parametrize("kind", ["no certificate", "another authority", "no TLS"])
def test_who_has_no_certificate_of_the_cluster_gets_no_work_done(tls, environment, large, tmp_path, kind):
    cluster, _, stranger = tls
    address = cluster.address.replace("tls:", "tcp:") if kind == "no TLS" else cluster.address
    quick = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    variables = (stranger if kind == "another authority" else environment) | quick
    process = run(variables, STRIP, large, "--output", tmp_path / "out", "--cluster", address)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 1
    assert errors.count(b"\n") == 1, errors
    assert (b"Dask has no certificate" in errors) == (kind == "no certificate")
    assert list(tmp_path.iterdir()) == []


def killing():
    """Steps that kill their process on one message."""
    return failing(None)


def test_a_message_that_kills_its_process_fails_alone(dask, tmp_path):
    from mailguard.batch import archive, cluster, job
    from mailguard.batch.driver import Workers

    (tmp_path / "box").write_bytes(mailbox(9))
    connected = cluster.Cluster(dask.address)
    workers = Workers(connected.executor, cluster.process, 2, cluster.lost())
    seen = []
    submit = workers.submit
    workers.submit = lambda task: (seen.append(pickle.dumps(task)), submit(task))[1]
    order = job.Order(killing, ["x"], 0)
    summary = archive.run(str(tmp_path / "box"), str(tmp_path / "out"), order, workers, lambda *_: None, lambda _: None)
    workers.stop()
    connected.close()
    assert [(each["number"], each["reason"]) for each in summary.failed] == [(8, "worker processes died on it")]
    assert len(subjects((tmp_path / "out").read_bytes())) == 9
    assert seen
    assert all(len(task) < 1000 and b"example" not in task for task in seen)


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:8786", "tcp://example.com:8786", "ws://127.0.0.1:1", "nonsense"])
def test_nothing_but_tls_leaves_the_machine(mailguard, tmp_path, address):
    (tmp_path / "box").write_bytes(mailbox(1))
    process = mailguard("batch", STRIP, tmp_path / "box", "--output", tmp_path / "out", "--cluster", address)
    assert process.returncode == 1
    assert b"only tls:// leaves this machine" in process.stderr
    assert os.listdir(tmp_path) == ["box"]


# --- URLs


@pytest.fixture(scope="module")
def s3(environment):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    values = environment | {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "name",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    script = "import s3fs; s3fs.S3FileSystem().mkdir('mail')"
    subprocess.run([sys.executable, "-c", script], env=values, check=True, timeout=400)
    yield values
    server.stop()


def copy(environment, source, target):
    script = "import sys, fsspec; open(sys.argv[2], 'wb').write(fsspec.open(sys.argv[1]).open().read())"
    if "://" in str(target):
        script = "import sys, fsspec; f = fsspec.open(sys.argv[2], 'wb').open(); f.write(open(sys.argv[1], 'rb').read()); f.close()"
    subprocess.run([sys.executable, "-c", script, str(source), str(target)], env=environment, check=True, timeout=400)


def listed(environment):
    script = "import s3fs; print(*sorted(s3fs.S3FileSystem().find('mail')))"
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True, timeout=400
    ).stdout.split()


def test_an_archive_in_s3_becomes_one_in_s3(s3, large, reference, tmp_path):
    copy(s3, large, "s3://mail/box")
    process = run(s3, STRIP, "s3://mail/box", "--output", "s3://mail/out", "--now", NOW)
    _, errors = process.communicate(timeout=400)
    assert (process.returncode, errors) == (0, b"")
    copy(s3, "s3://mail/out", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == reference
    assert listed(s3) == ["mail/box", "mail/out"]
    process = run(s3, STRIP, "s3://mail/box", "--output", "s3://mail/out", "--resume")
    assert b"exists already" in process.communicate(timeout=400)[1]


def test_a_compressed_archive_in_s3_and_one_with_lengths(s3, tmp_path):
    sized = b"".join(
        FROM + b"Content-Length: %d\n" % len(each.partition(b"\n\n")[2]) + each + b"\n" for each in map(mail, range(9))
    )
    (tmp_path / "box.gz").write_bytes(gzip.compress(sized))
    (tmp_path / "box").write_bytes(sized)
    copy(s3, tmp_path / "box.gz", "s3://mail/box.gz")
    process = run(s3, STRIP, "s3://mail/box.gz", "--output", "s3://mail/out.gz", "--now", NOW)
    assert process.communicate(timeout=400)[1] == b""
    copy(s3, "s3://mail/out.gz", tmp_path / "out.gz")
    process = run(s3, STRIP, tmp_path / "box", "--output", tmp_path / "out", "--now", NOW)
    process.communicate(timeout=400)
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == (tmp_path / "out").read_bytes()


def test_a_job_in_s3_whose_parent_was_killed_goes_on(s3, large, reference, tmp_path):
    copy(s3, large, "s3://mail/again")
    arguments = (STRIP, "s3://mail/again", "--output", "s3://mail/after", "--now", NOW)
    process = run(s3, *arguments)
    while process.poll() is None and not any(name.endswith(".part") for name in listed(s3)):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=400)
    process = run(s3, *arguments, "--resume")
    errors = process.communicate(timeout=400)[1]
    assert errors == b"" or b"exists already" in errors
    copy(s3, "s3://mail/after", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == reference
    assert not [name for name in listed(s3) if "mailguard-batch" in name]


def test_a_cluster_works_behind_urls(s3, large, reference, tmp_path):
    cluster = Dask(s3, tmp_path)
    try:
        cluster.add_worker()
        copy(s3, large, "s3://mail/shared")
        arguments = (
            STRIP,
            "s3://mail/shared",
            "--output",
            "s3://mail/made",
            "--now",
            NOW,
            "--cluster",
            cluster.address,
        )
        assert run(s3, *arguments).communicate(timeout=400)[1] == b""
    finally:
        cluster.stop()
    copy(s3, "s3://mail/made", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == reference


def test_a_url_holds_no_secret(mailguard, tmp_path):
    (tmp_path / "box").write_bytes(mailbox(1))
    process = mailguard("batch", STRIP, tmp_path / "box", "--output", "s3://name:secret@bucket/out")
    assert process.returncode == 1
    assert b"no user or password in a URL" in process.stderr
    assert b"secret" not in process.stderr
