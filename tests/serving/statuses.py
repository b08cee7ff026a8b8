"""TF Serving's Status in Python: what a call is refused with, by gRPC (a code) and by REST (an HTTP code)."""

import re

import grpc
import tensorflow as tf

Code = grpc.StatusCode
CODES = {code.value[0]: code for code in Code}  # TensorFlow's numbers are gRPC's
HTTP = {Code.CANCELLED: 499, Code.INVALID_ARGUMENT: 400, Code.DEADLINE_EXCEEDED: 504, Code.NOT_FOUND: 404}
HTTP |= {Code.ALREADY_EXISTS: 409, Code.PERMISSION_DENIED: 403, Code.RESOURCE_EXHAUSTED: 429, Code.UNAVAILABLE: 503}
HTTP |= {Code.FAILED_PRECONDITION: 400, Code.ABORTED: 409, Code.OUT_OF_RANGE: 400, Code.UNIMPLEMENTED: 501}
HTTP |= {Code.UNAUTHENTICATED: 401}  # any other code: 500
MESSAGE_LIMIT = 1024  # characters of a gRPC error
# TensorFlow's Python puts this around the message that C++ has.
PREAMBLE = re.compile(r"^Graph execution error:\s+(Detected at node .*? defined at .*?<stack traces unavailable>\s)*", re.S)


class ServingError(Exception):
    """A call that is refused, or a load that failed: `code` (grpc.StatusCode) and `message`."""

    def __init__(self, code, message):
        super().__init__(f"{code.name}: {message}")
        self.code, self.message = code, message

    @property
    def http(self):
        return HTTP.get(self.code, 500)

    @property
    def grpc_message(self):
        return self.message if len(self.message) <= MESSAGE_LIMIT else self.message[:MESSAGE_LIMIT] + "...TRUNCATED"


def invalid(*message):
    """INVALID_ARGUMENT with the parts of the message joined."""
    return ServingError(Code.INVALID_ARGUMENT, "".join(map(str, message)))


def status_of(error):
    """The `ServingError` that any exception stands for; TensorFlow's keep their code, unexpected ones are INTERNAL."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        text = re.sub(r" \[Op:\w+\]$", "", PREAMBLE.sub("", error.message))
        return ServingError(CODES.get(error.error_code, Code.UNKNOWN), text)
    if isinstance(error, UnicodeDecodeError):  # an InvalidArgument that quotes bytes, which Python's binding cannot hold
        return invalid(error.object.decode(errors="replace"))
    return ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")
