"""The images of a run, shared out by Ray. Every machine must see package, images and results under the same paths."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from segship.core.cluster import connected
from segship.core.errors import InputError, SegshipError
from segship.runtime.result_index import begin_index
from segship.runtime.results import is_of_the_image, reason_of, write_results
from segship.runtime.scene_blocks import write_blocks
from segship.runtime.throughput import throughput
from segship.vision.mosaic import block_edges

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from segship.runtime.object_store import Place
    from segship.runtime.result_form import ResultForm
    from segship.runtime.scene import Scene
    from segship.runtime.scene_files import SceneForm
    from segship.runtime.segmentor import Segmentor

__all__ = ["Cluster", "cluster"]

_AHEAD = 4  # images that are handed out for each processor of the cluster
_PARTS = 2  # of a scene, for each processor
_LOOK = 64  # images after which it is asked for its size again: machines come and go
_MOST_DEATHS = 4  # processes that one image may end
_CPU = "cpu"

T = TypeVar("T")
_Item = tuple["Place", str]


@dataclass(frozen=True)
class _Failure:
    """Why there is no result; of an image alone, or of all."""

    reason: str
    of_the_image: bool


@contextlib.contextmanager
def cluster(segmentor: Segmentor, address: str) -> Iterator[Cluster]:
    """Connect to a cluster whose processes open a package when they are given work.

    Args:
        segmentor: As it is opened here; each process opens it for one processor, or for its device.
        address: Of the cluster, or ``local``.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: There is no cluster.
    """
    with connected(address, "Predicting on a cluster") as ray:
        yield Cluster(ray, segmentor)


class Cluster:
    """Processes of a cluster; what one that dies was at is done again elsewhere.

    Args:
        ray: Ray's module, connected.
        segmentor: As for `cluster`.
    """

    def __init__(self, ray: Any, segmentor: Segmentor) -> None:
        opening = segmentor.__reduce__()[0]
        given = opening.keywords
        way = throughput(segmentor._found[0], given["device"], given["threads"], cores=1)  # noqa: SLF001
        alike = functools.partial(opening.func, *opening.args, **{**given, "threads": way.threads})
        # Bytes, because what Ray unpickles for each image would open the package each time.
        self._opening = pickle.dumps((alike, segmentor.identity))
        self._ray = ray
        self._needs = {"num_cpus": way.threads or 1} | ({} if way.device.startswith(_CPU) else {"num_gpus": 1})

    def _task(self, function: Callable[..., Any]) -> Any:
        return self._ray.remote(max_retries=_MOST_DEATHS - 1, **self._needs)(function)

    def _together(self) -> int:
        """How much the cluster works on at a time: it is asked, for machines come and go."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1) / self._needs["num_cpus"]))

    def results(
        self, to: Path, form: ResultForm, items: Iterable[_Item]
    ) -> Generator[Callable[[], dict[str, Any]], None, None]:
        """Write the results of images.

        Args:
            to: Folder for the results.
            form: What is written.
            items: Images and the names of their results.

        Returns:
            For each image, in order, what waits for its results and returns what is to be noted of them, or raises.
        """
        work, told = self._task(_work), pickle.dumps((self._opening, to, form))
        waiting, running = iter(items), collections.deque[Any]()
        for number in itertools.count():
            if number % _LOOK == 0:
                most = max(2, _AHEAD * self._together())
            more = max(0, most - len(running))  # a machine that is lost makes it less than what runs
            running += [(work.remote(told, item), item) for item in itertools.islice(waiting, more)]
            if not running:
                return
            reference, item = running.popleft()
            written = [to / file for file in form.files(item[1]).values()]
            yield functools.partial(_result, self._ray, reference, item, written)

    def blocks(self, scene: Scene, form: SceneForm, folder: Path, begin: int) -> Iterator[tuple[int, int]]:
        """Write the blocks of a scene, as `segship.runtime.scene_blocks.write_blocks` does, many at a time.

        Whole lines of blocks are handed out, for the windows at the edge of a part are run for both of its sides.
        """
        down, across = (len(edges) - 1 for edges in block_edges(scene.size))
        part = across * max(1, -(-down // (_PARTS * self._together())))
        starts = [begin, *range(begin - begin % part + part, down * across, part)]
        told = pickle.dumps((self._opening, scene.path.absolute(), folder.absolute(), form))
        work = self._task(_work_on_blocks)
        parts = list(itertools.pairwise([*starts, down * across]))
        waiting = [work.remote(told, *one) for one in parts]
        for (first, last), reference in zip(parts, waiting, strict=True):
            yield last - first, _answer(self._ray, reference, scene.path)


def _result(ray: Any, reference: Any, item: _Item, written: Sequence[Path]) -> dict[str, Any]:
    answer: dict[str, Any] = _answer(ray, reference, item[0])
    if lost := next((path for path in written if not path.is_file()), None):
        raise InputError(
            f"{lost} was written by a machine whose files are not seen here: share the folder"
        ) from OSError()
    return answer


def _answer(ray: Any, reference: Any, place: Place) -> Any:
    """What a process answered; why it has nothing to answer is raised."""
    errors = ray.exceptions
    try:
        answer = ray.get(reference)
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
        raise InputError(f"{place}: {_MOST_DEATHS} processes died that worked on it") from None
    if isinstance(answer, _Failure):
        # Why it cannot be written is told by the cause, as of an error that was met here.
        raise InputError(answer.reason) from (None if answer.of_the_image else OSError())
    return answer


def _work(told: bytes, item: _Item) -> dict[str, Any] | _Failure:
    """What a process of the cluster does for an image."""
    place, name = item
    opening, to, form = pickle.loads(told)  # noqa: S301  (as below: of this run's own process)

    def write(segmentor: Segmentor) -> dict[str, Any]:
        return write_results(segmentor, place, to, name, form, functools.partial(begin_index, to))

    return _tried(opening, place, write)


def _work_on_blocks(told: bytes, begin: int, end: int) -> int | _Failure:
    """What a process of the cluster does for a part of a scene: how many windows it ran."""
    opening, path, folder, form = pickle.loads(told)  # noqa: S301

    def write(segmentor: Segmentor) -> int:
        if not folder.is_dir():
            raise InputError(f"{folder} is not seen by all machines: share the folder of the results") from OSError()
        with segmentor.scene(path, options=form.options) as scene:
            return sum(windows for _, windows in write_blocks(scene, form, folder, begin, end))

    return _tried(opening, path, write)


def _tried(opening: bytes, place: Place, function: Callable[[Segmentor], T]) -> T | _Failure:
    """What a function makes of the package."""
    try:
        segmentor = _opened(opening)
    except SegshipError as error:
        return _Failure(" ".join(str(error).split()), of_the_image=False)
    try:
        return function(segmentor)
    except Exception as error:
        own = is_of_the_image(error)
        if not own and not isinstance(error, SegshipError):
            raise
        return _Failure(reason_of(error, place), own)


@functools.lru_cache(maxsize=1)
def _opened(told: bytes) -> Segmentor:
    """The package, opened once in each process: Ray gives one process many images."""
    opening, identity = pickle.loads(told)  # noqa: S301
    segmentor: Segmentor = opening()
    if segmentor.identity != identity:
        segmentor.close()
        raise InputError(f"{segmentor!r} is not the package that the run began with: machines must see the same files")
    return segmentor
