"""Faces by a network of one's own: a YOLOv8-face whose answers are known, run for real."""

import numpy as np
import pytest

from vlmaudit.errors import InputError
from vlmaudit.imaging.boxes import Box
from vlmaudit.imaging.faces import load_face_finder

onnx = pytest.importorskip("onnx", reason="onnx is not installed: no network can be built")

SIDE, CELL, SQUARE = 640, 32, 96


def network(tmp_path, *, points=True, side=SIDE, rows=None):
    """A network that finds red squares of 96 pixels: a candidate a cell of 32, scored by red.

    A cell in the middle of such a square scores 1 and those beside it a third, so that only merging
    makes one face of it.
    """
    from onnx import TensorProto, helper, numpy_helper

    weights = np.zeros((1, 3, SQUARE, SQUARE), dtype=np.float32)
    weights[0, 0] = 2 / SQUARE**2
    middles = (np.arange(side // CELL) + 0.5) * CELL
    x, y = (axis.reshape(-1) for axis in np.meshgrid(middles, middles))
    size = np.full_like(x, SQUARE)
    offsets = [(-20, -10), (20, -10), (0, 5), (-15, 30), (15, 30)]
    marks = [row for dx, dy in offsets for row in (x + dx, y + dy, np.ones_like(x))]
    known = {
        "weights": weights,
        "bias": np.array([-1], dtype=np.float32),
        "boxes": np.array([x, y, size, size], dtype=np.float32)[None],
        "marks": np.array(marks, dtype=np.float32)[None],
        "shape": np.array([1, 1, -1]),
    }
    parts = ["boxes", "score", *(["marks"] if points else [])]
    nodes = [
        helper.make_node(
            "Conv",
            ["images", "weights", "bias"],
            ["red"],
            strides=[CELL, CELL],
            pads=[CELL] * 4,
        ),
        helper.make_node("Relu", ["red"], ["seen"]),
        helper.make_node("Reshape", ["seen", "shape"], ["score"]),
        helper.make_node("Concat", rows or parts, ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, None, None])],
        [numpy_helper.from_array(value, name) for name, value in known.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "squares.onnx"
    onnx.save(model, path)
    return f"yolo:{path}"


def drawn(height, width, *squares, colour=(255, 0, 0)):
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for square in squares:
        picture[square.window] = colour
    return picture


@pytest.mark.parametrize(
    ("height", "width", "square"),
    [
        (640, 640, Box(128, 64, 96, 96)),
        (160, 320, Box(64, 32, 48, 48)),
        (320, 160, Box(32, 64, 48, 48)),
        (640, 1280, Box(256, 128, 192, 192)),
    ],
)
def test_a_square_is_found_where_it_is_whatever_the_size(tmp_path, height, width, square):
    finder = load_face_finder(network(tmp_path))
    (face,) = finder.find(drawn(height, width, square), "")
    assert face.box == square
    assert face.score > 0.95
    scale = SIDE / max(height, width)
    across, down = square.center
    assert face.points[0] == pytest.approx((across - 20 / scale, down - 10 / scale))
    assert face.points[4] == pytest.approx((across + 15 / scale, down + 30 / scale))


def test_all_squares_are_found_once_each_and_only_red_ones(tmp_path):
    finder = load_face_finder(network(tmp_path))
    squares = [Box(64, 64, 96, 96), Box(320, 64, 96, 96), Box(64, 416, 96, 96)]
    found = finder.find(drawn(640, 640, *squares), "")
    assert sorted(face.box for face in found) == sorted(squares)
    assert finder.find(drawn(640, 640, *squares, colour=(0, 255, 255)), "") == []
    assert finder.find(drawn(1, 1), "") == []


def test_a_square_on_the_edge_is_cut_to_the_picture(tmp_path):
    finder = load_face_finder(network(tmp_path))
    found = finder.find(drawn(640, 640, Box(0, 0, 64, 96)), "")
    assert [face.box for face in found] == [Box(0, 0, 64, 96)]


def test_a_network_may_leave_points_out(tmp_path):
    finder = load_face_finder(network(tmp_path, points=False))
    (face,) = finder.find(drawn(640, 640, Box(128, 64, 96, 96)), "")
    assert face.points == ()


def test_a_network_for_another_size_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"takes \[1, 3, 320, 320\]; wanted a YOLOv8-face"):
        load_face_finder(network(tmp_path, side=320))


def test_a_network_that_answers_otherwise_is_refused(tmp_path):
    finder = load_face_finder(network(tmp_path, rows=["boxes", "score", "score"]))
    with pytest.raises(InputError, match=r"answers \[1, 6, 400\]; wanted 1 x 5 or 1 x 20"):
        finder.find(drawn(64, 64), "")


def test_other_weights_have_another_name(tmp_path):
    one = load_face_finder(network(tmp_path)).name
    assert one != load_face_finder(network(tmp_path, points=False)).name
