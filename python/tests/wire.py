"""gRPC as a stranger speaks it: clients made by grpcio-tools from `proto/`, by nobody who wrote the server."""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import grpc
from program import ROOT

PROTO = ROOT / "proto"
CHUNK = 256 * 1024
OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


@dataclass
class Refused(Exception):
    """An error as the server describes it."""

    kind: str
    message: str
    code: grpc.StatusCode


def compiled(directory: Path) -> tuple[ModuleType, ...]:
    """The messages and services of `lineate.v1`, and `foreign.proto`, compiled into a directory."""
    from grpc_tools import protoc

    includes = [f"-I{PROTO}", f"-I{Path(__file__).parent}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    sources = sorted(path.relative_to(PROTO) for path in PROTO.rglob("*.proto"))
    outputs = [f"--python_out={directory}", f"--grpc_python_out={directory}"]
    assert protoc.main(["protoc", *includes, *outputs, *map(str, sources), "foreign.proto"]) == 0
    sys.path.insert(0, str(directory))
    names = [f"lineate.v1.{path.stem}_pb2" for path in sources]
    return tuple(importlib.import_module(name) for name in names)


class Messages:
    """Every message of `lineate.v1` by its name, and the stubs of its services."""

    def __init__(self, directory: Path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            modules = compiled(directory)
            self.foreign = importlib.import_module("foreign_pb2")
            for module in modules:
                for name in module.DESCRIPTOR.message_types_by_name:
                    setattr(self, name, getattr(module, name))
                for name in module.DESCRIPTOR.services_by_name:
                    stubs = importlib.import_module(f"{module.__name__}_grpc")
                    setattr(self, f"{name}Stub", getattr(stubs, f"{name}Stub"))


class Wire:
    """A channel to a server."""

    def __init__(self, messages: Messages, address: str):
        self.v1 = messages
        self.channel = grpc.insecure_channel(address, options=OPTIONS)
        self.store = messages.StoreStub(self.channel)
        self.online = messages.OnlineStub(self.channel)
        self.catalog = messages.CatalogStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def call(self, method: Callable, request):
        """The answer, or the answers of a stream; an error of the server as `Refused`."""
        try:
            answer = method(request, timeout=60)
            return list(answer) if isinstance(answer, Iterable) else answer
        except grpc.RpcError as error:
            raise self.refusal(error) from None

    def refusal(self, error: grpc.RpcError) -> Refused:
        """What a status says. Every refusal carries its details, unless HTTP/2 or gRPC itself refused."""
        for name, value in error.trailing_metadata() or ():
            if name == "grpc-status-details-bin":
                status = self.v1.foreign.Status.FromString(value)
                detail = self.v1.ErrorDetail()
                assert status.code == error.code().value[0]
                assert status.details[0].Unpack(detail)
                assert detail.message == status.message
                return Refused(detail.kind, detail.message, error.code())
        return Refused("", error.details() or "", error.code())

    def upload(self, content: bytes) -> str:
        """Uploads a file, and gives the id of the upload."""
        parts = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)] or [b""]
        requests = [self.v1.UploadRequest(chunk=part, last=at == len(parts) - 1) for at, part in enumerate(parts)]
        return self.call(self.store.Upload, iter(requests)).upload_id

    def push(self, view: str, *batches, writer=None) -> list:
        """Pushes batches (of sequence and rows) over one stream; the answers to all of them."""
        opening = self.v1.PushOpen(view=view, writer=writer)
        requests = [self.v1.PushRequest(open=opening)]
        for sequence, rows in batches:
            kind = {"ndjson": rows.encode()} if isinstance(rows, str) else {"arrow_ipc": rows}
            requests.append(self.v1.PushRequest(batch=self.v1.PushBatch(sequence=sequence, **kind)))
        return self.call(self.store.Push, iter(requests))
