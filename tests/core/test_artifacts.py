from __future__ import annotations

import pytest

from segship.core.artifacts import BackendInfo, EngineOption
from segship.core.errors import BackendError

INFO = BackendInfo(
    title="Toy",
    graph="onnx",
    precisions=("fp32",),
    extra="",
    modules=(),
    options={
        "workspace": EngineOption(int, "MiB", minimum=1),
        "layout": EngineOption(str, "order of the channels", choices=("nchw", "nhwc")),
        "cache": EngineOption(bool, "whether it remembers"),
        "share": EngineOption(float, "of the memory", minimum=0),
    },
)


def test_options_are_read_as_their_own_types() -> None:
    given = {"workspace": "64", "layout": "nhwc", "cache": "true", "share": "0.5"}
    assert INFO.read_options(given) == {"workspace": 64, "layout": "nhwc", "cache": True, "share": 0.5}
    assert INFO.read_options({"workspace": 64, "cache": False}) == {"workspace": 64, "cache": False}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workspce": 1}, "Toy has no option 'workspce': it takes workspace, layout, cache, share. Did you mean"),
        ({"workspace": 0}, "Toy's option workspace is 0: expected at least 1"),
        ({"workspace": "much"}, "Toy's option workspace is 'much': expected int"),
        ({"workspace": 1.5}, "Toy's option workspace is 1.5: expected int"),
        ({"layout": "hwc"}, "Toy's option layout is 'hwc': expected nchw, nhwc"),
        ({"cache": "perhaps"}, "Toy's option cache is 'perhaps': expected bool"),
    ],
)
def test_what_is_no_option_is_told(given: dict[str, object], message: str) -> None:
    with pytest.raises(BackendError) as told:
        INFO.read_options(given)
    assert str(told.value).startswith(message)


def test_an_engine_without_options_says_so() -> None:
    info = BackendInfo(title="Toy", graph="onnx", precisions=("fp32",), extra="", modules=())
    with pytest.raises(BackendError, match=r"Toy has no option .workspace.: it takes none$"):
        info.read_options({"workspace": 1})
