"""The messages of the Open Inference Protocol over gRPC, from one table: no generated code, and none that must fit.

Source: ``grpc_predict_v2.proto`` of github.com/kserve/open-inference-protocol. Fields that are not in the table are
skipped by protobuf, as it skips those that it does not know.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["SERVICE", "bytes_of", "message"]

SERVICE = "inference.GRPCInferenceService"

_TENSOR = ("name: string 1", "datatype: string 2", "shape: int64* 3", "contents: Contents 5")
_NAMED = ("name: string 1", "version: string 2")
_METADATA = ("name: string 1", "datatype: string 2", "shape: int64* 3")
_MESSAGES: dict[str, tuple[str, ...]] = {
    "Contents": ("uint_contents: uint32* 4", "fp32_contents: float* 6", "bytes_contents: bytes* 8"),
    "InputTensor": _TENSOR,
    "OutputTensor": _TENSOR,
    "RequestedOutput": ("name: string 1",),
    "TensorMetadata": _METADATA,
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("live: bool 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("ready: bool 1",),
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": ("ready: bool 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("name: string 1", "version: string 2", "extensions: string* 3"),
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": (
        *("name: string 1", "versions: string* 2", "platform: string 3"),
        *("inputs: TensorMetadata* 4", "outputs: TensorMetadata* 5"),
    ),
    "ModelInferRequest": (
        *("model_name: string 1", "model_version: string 2", "id: string 3"),
        *("inputs: InputTensor* 5", "outputs: RequestedOutput* 6", "raw_input_contents: bytes* 7"),
    ),
    "ModelInferResponse": (
        *("model_name: string 1", "model_version: string 2", "id: string 3"),
        *("outputs: OutputTensor* 5", "raw_output_contents: bytes* 6"),
    ),
}
_FIELD = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="segship_inference.proto", package="segship_oip", syntax="proto3")
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for line in fields:
            field, kind, number = line.replace(":", "").split()
            repeated = kind.endswith("*")
            added = described.field.add(
                name=field,
                number=int(number),
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
            )
            kind = kind.removesuffix("*")
            if kind in _MESSAGES:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".segship_oip.{kind}"
            else:
                added.type = getattr(_FIELD, f"TYPE_{kind.upper()}")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def message(name: str) -> Any:
    """The class of a message.

    Args:
        name: As in the protocol: ``ModelInferRequest``.
    """
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"segship_oip.{name}"))


def bytes_of(made: Any) -> bytes:
    """A message on the wire.

    Args:
        made: Of a class that `message` returned.
    """
    written: bytes = made.SerializePartialToString()
    return written
