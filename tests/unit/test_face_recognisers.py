"""Recognisers: what they are shown is the face, upright and in place, whoever runs them."""

from importlib.util import find_spec

import numpy as np
import pytest

from vlmaudit.errors import InputError
from vlmaudit.imaging.boxes import Box
from vlmaudit.imaging.recognisers import aligned, load_recogniser
from vlmaudit.imaging.seams import Face

onnx = pytest.importorskip("onnx", reason="onnx is not installed: no network can be built")

SIDE, TILE = 112, 8


def network(tmp_path, *, side=SIDE):
    """A network whose vector is the picture itself, in squares of 8 pixels.

    What is beyond -1 and 1 is cut off, so that another range of values shows in the vector.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node(
            "AveragePool", ["data"], ["small"], kernel_shape=[TILE] * 2, strides=[TILE] * 2
        ),
        helper.make_node("Clip", ["small", "least", "most"], ["held"]),
        helper.make_node("Flatten", ["held"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "picture",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, None])],
        [
            numpy_helper.from_array(np.array(-1, dtype=np.float32), "least"),
            numpy_helper.from_array(np.array(1, dtype=np.float32), "most"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "picture.onnx"
    onnx.save(model, path)
    return f"onnx:{path}"


PLACES = np.array([(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)])


def drawn_face(seed):
    """A smooth picture of 112 x 112 pixels that differs from one seed to another."""
    import cv2

    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def turned(face, degrees, scale):
    """The face somewhere in a larger picture, turned and scaled, with its points."""
    import cv2

    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, scale)
    matrix[:, 2] += 200
    picture = cv2.warpAffine(face, matrix, (520, 520), flags=cv2.INTER_CUBIC)
    points = PLACES @ matrix[:, :2].T + matrix[:, 2]
    return picture, Face(Box(200, 200, SIDE, SIDE), 1.0, tuple(map(tuple, points)))


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (30, 1.6), (-50, 1.0), (170, 1.3)])
def test_a_turned_face_is_shown_upright(degrees, scale):
    face = drawn_face(0)
    shown = aligned(*turned(face, degrees, scale)).astype(int)
    assert shown.shape == (SIDE, SIDE, 3)
    inner = slice(20, 92)
    assert np.abs(shown - face)[inner, inner].mean() < 3


def test_a_face_without_points_is_its_box_and_a_little_around():
    picture = np.zeros((200, 200, 3), dtype=np.uint8)
    picture[50:150, 50:150] = 255
    shown = aligned(picture, Face(Box(50, 50, 100, 100), 1.0))
    # 100 of 130 pixels a side are the box.
    assert (shown[:, :, 0] > 127).mean() == pytest.approx((100 / 130) ** 2, abs=0.02)
    corner = aligned(picture, Face(Box(0, 0, 3, 3), 1.0))
    assert corner.shape == (SIDE, SIDE, 3)


def test_the_network_sees_red_first_and_from_minus_one_to_one(tmp_path):
    recogniser = load_recogniser(network(tmp_path))
    picture = np.empty((60, 60, 3), dtype=np.uint8)
    picture[:] = (255, 204, 0)
    (vector,) = recogniser.describe(picture, [Face(Box(10, 10, 40, 40), 1.0)])
    expected = np.repeat([1.0, 0.6, -1.0], (SIDE // TILE) ** 2)
    assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-4)


def test_vectors_have_unit_length_and_the_order_of_the_faces(tmp_path):
    recogniser = load_recogniser(network(tmp_path))
    picture, face = turned(drawn_face(1), 25, 1.2)
    upright, its_face = turned(drawn_face(1), 0, 1)
    other, others_face = turned(drawn_face(2), 0, 1)
    (vector,) = recogniser.describe(picture, [face])
    (same,) = recogniser.describe(upright, [its_face])
    (stranger,) = recogniser.describe(other, [others_face])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ same > 0.98
    assert vector @ stranger < 0.6
    small = Face(Box(0, 0, 30, 30), 1.0)
    both = recogniser.describe(picture, [face, small])
    swapped = recogniser.describe(picture, [small, face])
    assert (both == swapped[::-1]).all()
    assert (both[0] != both[1]).any()


def test_no_faces_have_no_vectors(tmp_path):
    picture = np.zeros((20, 20, 3), dtype=np.uint8)
    assert len(load_recogniser(network(tmp_path)).describe(picture, [])) == 0


def test_networks_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="wanted faces of 3 x 112 x 112"):
        load_recogniser(network(tmp_path, side=160))
    with pytest.raises(InputError, match="no such file; give a face recogniser in ONNX"):
        load_recogniser("onnx:nowhere.onnx")
    path = tmp_path / "text.onnx"
    path.write_text("no network")
    with pytest.raises(InputError, match="not an ONNX network"):
        load_recogniser(f"onnx:{path}")
    with pytest.raises(InputError, match=r"Did you mean dlib\?"):
        load_recogniser("dlip")


@pytest.mark.skipif(find_spec("dlib") is not None, reason="dlib is installed")
def test_without_dlib_one_line_says_how_to_get_it():
    with pytest.raises(InputError, match="pip install dlib-bin"):
        load_recogniser("dlib")
