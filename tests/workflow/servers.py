"""Remotes as they are: a folder, an S3 server and an ssh server, each started for the tests and ended after them."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

_SSH_SERVER = """
import asyncio, asyncssh, sys
async def serve(port, host_key, authorized):
    await asyncssh.listen("127.0.0.1", int(port), server_host_keys=[host_key], authorized_client_keys=authorized, sftp_factory=True)
    await asyncio.Event().wait()
asyncio.run(serve(*sys.argv[1:]))
"""


@contextmanager
def s3(folder: Path) -> Iterator[dict[str, str]]:
    """Options of a DVC remote in a bucket of a local S3 server."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with _server(port, folder / "log", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)):
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/canaryflow", method="PUT"), timeout=10).close()
        yield {"url": "s3://canaryflow/store", "endpointurl": endpoint}


@contextmanager
def ssh(folder: Path) -> Iterator[dict[str, str]]:
    """Options of a DVC remote behind an ssh server with keys of its own."""
    port = _free_port()
    for name in ("host", "user"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
    with _server(port, folder / "log", "-c", _SSH_SERVER, str(port), str(folder / "host"), str(folder / "user.pub")):
        yield {"url": f"ssh://tester@127.0.0.1:{port}{folder}/store", "keyfile": str(folder / "user"), "allow_agent": "false"}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _server(port: int, log: Path, *arguments: str, seconds: float = 60) -> Iterator[None]:
    """Run `python arguments` until the block ends; the block starts once the port answers."""
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + seconds
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)
