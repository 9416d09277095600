"""The images of a run, shared out by Ray. Every machine must see package, images and results under the same paths."""

from __future__ import annotations

import collections
import functools
import itertools
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segship.core.cluster import connected
from segship.core.errors import InputError, SegshipError
from segship.runtime.result_index import begin_index
from segship.runtime.results import is_of_the_image, reason_of, write_results
from segship.runtime.throughput import throughput

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from segship.runtime.object_store import Place
    from segship.runtime.result_form import ResultForm
    from segship.runtime.segmentor import Segmentor

__all__ = ["results_on_ray"]

_AHEAD = 4  # images that are handed out for each processor of the cluster
_LOOK = 64  # images after which it is asked for its size again: machines come and go
_MOST_DEATHS = 4  # processes that one image may end
_CPU = "cpu"

_Item = tuple["Place", str]


@dataclass(frozen=True)
class _Failure:
    """Why there is no result; of an image alone, or of all."""

    reason: str
    of_the_image: bool


def results_on_ray(
    segmentor: Segmentor, to: Path, form: ResultForm, items: Iterable[_Item], address: str
) -> Generator[Callable[[], dict[str, Any]], None, None]:
    """Have a cluster write the results of images; what a process that dies was at is done again elsewhere.

    Args:
        segmentor: As it is opened here; each process opens it for one processor, or for its device.
        to: Folder for the results.
        form: What is written.
        items: Images and the names of their results.
        address: Of the cluster, or ``local``.

    Returns:
        For each image, in order, what waits for its results and returns what is to be noted of them, or raises.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: There is no cluster.
    """
    opening = segmentor.__reduce__()[0]
    way = throughput(segmentor._found[0], opening.keywords["device"], opening.keywords["threads"], cores=1)  # noqa: SLF001
    alike = functools.partial(opening.func, *opening.args, **{**opening.keywords, "threads": way.threads})
    # Bytes, because what Ray unpickles for each image would open the package each time.
    told = pickle.dumps((alike, segmentor.identity, to, form))
    with connected(address, "Predicting on a cluster") as ray:
        needs = {"num_cpus": way.threads or 1} | ({} if way.device.startswith(_CPU) else {"num_gpus": 1})
        work = ray.remote(max_retries=_MOST_DEATHS - 1, **needs)(_work)
        waiting, running = iter(items), collections.deque[Any]()
        for number in itertools.count():
            if number % _LOOK == 0:
                most = max(2, int(_AHEAD * ray.cluster_resources().get("CPU", 1) / needs["num_cpus"]))
            running += [(work.remote(told, item), item) for item in itertools.islice(waiting, most - len(running))]
            if not running:
                return
            reference, item = running.popleft()
            yield functools.partial(_result, ray, reference, item, [to / file for file in form.files(item[1]).values()])


def _result(ray: Any, reference: Any, item: _Item, written: Sequence[Path]) -> dict[str, Any]:
    errors = ray.exceptions
    try:
        answer: dict[str, Any] | _Failure = ray.get(reference)
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
        raise InputError(f"{item[0]}: {_MOST_DEATHS} processes died that worked on it") from None
    if isinstance(answer, _Failure):
        # Why it cannot be written is told by the cause, as of an error that was met here.
        raise InputError(answer.reason) from (None if answer.of_the_image else OSError())
    if lost := next((path for path in written if not path.is_file()), None):
        raise InputError(
            f"{lost} was written by a machine whose files are not seen here: share the folder"
        ) from OSError()
    return answer


def _work(told: bytes, item: _Item) -> dict[str, Any] | _Failure:
    """What a process of the cluster does for an image."""
    place, name = item
    try:
        segmentor, to, form = _opened(told)
    except SegshipError as error:
        return _Failure(" ".join(str(error).split()), of_the_image=False)
    try:
        return write_results(segmentor, place, to, name, form, functools.partial(begin_index, to))
    except Exception as error:
        own = is_of_the_image(error)
        if not own and not isinstance(error, SegshipError):
            raise
        return _Failure(reason_of(error, place), own)


@functools.lru_cache(maxsize=1)
def _opened(told: bytes) -> tuple[Segmentor, Path, ResultForm]:
    """The package, opened once in each process: Ray gives one process many images."""
    opening, identity, to, form = pickle.loads(told)  # noqa: S301  (of this run's own process)
    segmentor: Segmentor = opening()
    if segmentor.identity != identity:
        segmentor.close()
        raise InputError(f"{segmentor!r} is not the package that the run began with: machines must see the same files")
    return segmentor, to, form
