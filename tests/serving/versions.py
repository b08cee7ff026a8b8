"""Which version of a model is served: TF Serving's default policies (the largest number; never without a ready one)."""

import os
import re
import threading
from typing import NamedTuple

from servables import Servable
from statuses import Code, ServingError, invalid, status_of
from tensorflow_serving.apis import get_model_status_pb2

State = get_model_status_pb2.ModelVersionStatus.State
NO_SPEC = "Missing ModelSpec"


class Version(NamedTuple):
    """What is known of a version: `error` is the `ServingError` of a failed load; warm-up requests that were replayed."""

    state: int
    error: ServingError | None = None
    warmup_requests: int = 0


class Model:
    """The versions under one base path.

    `poll` is called by one thread. What other threads read (`serving`, `versions`) it replaces and never changes.
    """

    def __init__(self, name, base):
        self.name, self.base = name, base
        self.serving = None  # the Servable
        self.versions = {}  # every number that was ever tried to its Version
        self._wanted = None

    def poll(self):
        """Loads the version with the largest number if it is new; the old one serves until that is ready, or for good.

        A version that failed is not tried again: the number is spent. If it is removed, the old version, which still
        serves, is not loaded again. A base without versions unloads the model; one that cannot be read changes nothing.
        """
        try:
            found = numbered(os.listdir(self.base))
        except OSError:
            return
        largest = max(found, default=None)
        stays = self.serving is not None and largest == self.serving.version
        if largest != self._wanted and not stays:
            self._wanted = largest
            self._replace(largest, None if largest is None else os.path.join(self.base, found[largest]))

    def _replace(self, number, path):
        ready = None
        if number is not None:
            self.versions = self.versions | {number: Version(State.LOADING)}
            try:
                ready = Servable(self.name, number, path)
            except Exception as error:  # whatever it is, the old version goes on serving
                self.versions = self.versions | {number: Version(State.END, status_of(error))}
                return
        old, versions = self.serving, dict(self.versions)
        if ready is not None:
            versions[number] = Version(State.AVAILABLE, None, ready.warmup_requests)
        if old is not None:
            versions[old.version] = versions[old.version]._replace(state=State.END)
        self.serving, self.versions = ready, versions  # requests in flight hold the old servable


def numbered(names):
    """Returns a dict of version number to directory name, of the names that C++ reads as int64; others are skipped."""
    found = {int(name): name for name in sorted(names) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", name)}
    return {number: name for number, name in found.items() if -(2**63) <= number < 2**63}


class Models:
    """All models of a server, polled by a thread of their own.

    Args:
      bases: a dict of model name to base path.
      poll_seconds: time between two looks at the file system.
    """

    def __init__(self, bases, poll_seconds):
        self.models = {name: Model(name, os.fspath(base)) for name, base in bases.items()}
        self._seconds, self._stopped = poll_seconds, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self):
        """Loads what is there, then watches."""
        self._poll()
        self._thread.start()

    def stop(self):
        self._stopped.set()
        self._thread.join()

    def _watch(self):
        while not self._stopped.wait(self._seconds):
            self._poll()

    def _poll(self):
        for model in self.models.values():
            model.poll()

    def find(self, spec):
        """Returns the `Servable` that a `ModelSpec` asks for; NOT_FOUND for one that is not served (any longer)."""
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        choice, version = spec.WhichOneof("version_choice"), spec.version.value
        if choice == "version_label":  # labels come from a configuration file, which there is not
            raise invalid("Unrecognized servable version label: ", spec.version_label)
        asked = f"Specific({spec.name}, {version})" if choice else f"Latest({spec.name})"
        servable = self.models[spec.name].serving if spec.name in self.models else None
        if servable is None or (choice and version != servable.version):
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {asked}")
        return servable

    def status(self, request):
        """Returns a `GetModelStatusResponse`: the versions, largest first; one that failed to load has END and its error."""
        if not request.HasField("model_spec"):
            raise invalid(NO_SPEC)
        spec = request.model_spec
        versions = self.models[spec.name].versions if spec.name in self.models else {}
        if spec.HasField("version"):
            number = spec.version.value
            if number not in versions:
                raise ServingError(Code.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
            versions = {number: versions[number]}
        if not versions:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, version in sorted(versions.items(), reverse=True):
            one = response.model_version_status.add(version=number, state=version.state)
            if version.error is not None:
                one.status.error_code, one.status.error_message = version.error.code.value[0], version.error.message
            else:
                one.status.SetInParent()
        return response
