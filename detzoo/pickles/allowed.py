"""What a pickle may name: containers, numbers, tensors, and objects of which only the name is kept."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detzoo.pickles.machine import CheckpointError, Inert, Machine, Rule

# dtype by the name of PyTorch's storage classes
STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.storage.UntypedStorage": torch.uint8,
}

# objects that training tools put beside the weights: counters, logs, settings
KEPT_BY_NAME = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "mmengine.config.config.Config",
    "mmengine.config.lazy.LazyAttr",
    "mmengine.config.lazy.LazyObject",
    "mmcv.utils.config.Config",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
)
DICTS = (
    "collections.OrderedDict",
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "mmcv.utils.ConfigDict",
    "addict.addict.Dict",
    "addict.Dict",
)


DTYPE_NAMES = ("float16", "float32", "float64", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool")
MOST_DIMENSIONS = 32
MOST_REPEATED = 1 << 20  # numbers of a tensor that repeats those of a smaller storage


@dataclass(frozen=True)
class Storage:
    """The numbers behind tensors: a flat tensor."""

    flat: Tensor


def _dict(machine: Machine, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if len(arguments) > 1:
        raise TypeError("a dict of several arguments")
    if not arguments:
        return {}
    (given,) = arguments
    if not isinstance(given, dict | list | tuple):
        raise TypeError(f"a dict of a {type(given).__name__}")
    machine.work(len(given))
    return dict(given) if isinstance(given, dict) else {machine.key(key): value for key, value in given}


def _default_dict(machine: Machine, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    return _dict(machine, arguments[1:])


def _set(machine: Machine, arguments: tuple[Any, ...]) -> set[Any]:
    (items,) = arguments
    if not isinstance(items, list | tuple | set | frozenset):
        raise TypeError(f"a set of a {type(items).__name__}")
    machine.work(len(items))
    return set(map(machine.key, items))


def _encoded(machine: Machine, arguments: tuple[Any, ...]) -> bytes:
    """Bytes, which old pickles hold as text."""
    text, encoding = arguments
    if not isinstance(text, str) or not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError("text in another encoding than latin1")
    machine.charge(len(text))
    return text.encode("latin-1")


def _no_bytes(machine: Machine, arguments: tuple[Any, ...]) -> bytes:
    """Python 2's spelling of b""."""
    if arguments:
        raise TypeError("bytes of something")
    return b""


_DTYPE = re.compile(r"[<|=]?([?biufSU]\d{0,4})")


def _numpy_dtype(machine: Machine, arguments: tuple[Any, ...]) -> np.dtype[Any]:
    name = arguments[0]
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise TypeError(f"arrays of {name[:20]}" if isinstance(name, str) else "arrays of what is no type")
    return np.dtype(name)


def _keep_dtype(machine: Machine, dtype: np.dtype[Any], state: Any) -> None:
    """A dtype's state says its byte order; only that of this machine, or none, is taken."""
    if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|", "="):
        raise TypeError("arrays of another byte order")


def _new_array(machine: Machine, arguments: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    return np.zeros(0)


def _fill_array(machine: Machine, array: np.ndarray[Any, Any], state: Any) -> None:
    """The state of an array: version, shape, dtype, whether columns come first, bytes."""
    version, shape, dtype, columns_first, data = state
    if isinstance(data, str):
        data = data.encode("latin-1")
    if version != 1 or not isinstance(columns_first, bool) or not isinstance(dtype, np.dtype):
        raise TypeError("an array of another kind")
    if not isinstance(data, bytes) or math.prod(as_shape(shape)) * dtype.itemsize != len(data):
        raise TypeError("an array without its bytes")
    machine.charge(len(data))
    _check_letters(dtype, data)
    array.__setstate__((1, shape, dtype, columns_first, data))  # pyright: ignore[reportArgumentType] (it takes a bool)


def _numpy_scalar(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    dtype, data = arguments
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise TypeError("a number without its bytes")
    machine.charge(len(data))
    _check_letters(dtype, data)
    return np.frombuffer(data, dtype)[0]


def _check_letters(dtype: np.dtype[Any], data: bytes) -> None:
    """Texts in arrays are numbers of letters, which NumPy does not check before it makes a text of them."""
    if dtype.kind == "U" and len(data) and int(np.frombuffer(data, "<u4").max()) > sys.maxunicode:
        raise ValueError("a text with a letter that is none")


def as_shape(values: Any) -> tuple[int, ...]:
    """A shape: a tuple of few and not too large numbers.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(values, tuple) or len(values) > MOST_DIMENSIONS:
        raise TypeError("a shape that is none")
    if not all(type(one) is int and 0 <= one < 1 << 48 for one in values):
        raise ValueError("a shape that is none")
    return values


def _tensor(machine: Machine, arguments: tuple[Any, ...]) -> Tensor:
    """A view of a storage, which it may not leave."""
    storage, offset, size, stride = arguments[:4]
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without its storage")
    size, stride, (offset,) = as_shape(size), as_shape(stride), as_shape((offset,))
    held, wanted = storage.flat.numel(), math.prod(size)
    end = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True)) + 1 if wanted else 0
    if end > held or wanted > max(held, MOST_REPEATED):
        raise ValueError(f"a tensor that leaves its storage of {held} numbers")
    return storage.flat.as_strided(size, stride, offset if wanted else 0)


def _parameter(machine: Machine, arguments: tuple[Any, ...]) -> Tensor:
    if not isinstance(arguments[0], Tensor):
        raise TypeError("a parameter without its tensor")
    return arguments[0]


def _tensor_of_type(machine: Machine, arguments: tuple[Any, ...]) -> Any:
    """A tensor that had attributes, which are dropped: the rule that makes it, its class, and the rule's arguments."""
    rule, _, inner = arguments[:3]
    makers = [one for one in (_tensor, _parameter) if isinstance(rule, Rule) and rule.call is one]
    if not makers or not isinstance(inner, tuple):
        raise TypeError("a tensor of another kind")
    return makers[0](machine, inner)


def _size(machine: Machine, arguments: tuple[Any, ...]) -> torch.Size:
    (sizes,) = arguments
    if not isinstance(sizes, list | tuple) or len(sizes) > MOST_DIMENSIONS:
        raise TypeError("a shape that is none")
    return torch.Size(as_shape(tuple(sizes)))


def _device(machine: Machine, arguments: tuple[Any, ...]) -> torch.device:
    kind, *number = arguments
    if not isinstance(kind, str) or not re.fullmatch(r"(cpu|cuda|mps)(:\d{1,3})?", kind):
        raise ValueError("a device that is none")
    if number and (":" in kind or len(number) > 1 or type(number[0]) is not int or not 0 <= number[0] < 1000):
        raise ValueError("a device that is none")
    return torch.device(kind, *number)


def _attribute(machine: Machine, arguments: tuple[Any, ...]) -> Inert:
    """``getattr``, only of what is kept by name: the methods of mmengine's counters are pickled so."""
    holder, word = arguments
    if not isinstance(holder, Rule) or holder.name not in KEPT_BY_NAME or not isinstance(word, str):
        raise CheckpointError("its pickle asks for an attribute")
    return Inert(f"{holder.name}.{word[:60]}")


def _kept(name: str) -> Rule:
    return Rule(name, lambda machine, arguments: Inert(name))


_MAKERS = {
    "collections.defaultdict": _default_dict,
    "builtins.set": _set,
    "builtins.frozenset": lambda machine, arguments: frozenset(_set(machine, arguments)),
    "builtins.getattr": _attribute,
    "builtins.bytes": _no_bytes,
    "_codecs.encode": _encoded,
    "numpy.dtype": _numpy_dtype,
    "numpy.core.multiarray._reconstruct": _new_array,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _tensor_of_type,
    "torch.Size": _size,
    "torch.device": _device,
    **dict.fromkeys(DICTS, _dict),
}
# named, but never called: classes beside what makes their objects, and what a defaultdict makes
_ONLY_NAMED = (
    *("numpy.ndarray", "torch.Tensor", "torch.nn.parameter.Parameter", *STORAGES),
    *("builtins.list", "builtins.dict", "builtins.int", "builtins.float", "builtins.str", "builtins.bool"),
)
_DTYPES = {f"torch.{name}": getattr(torch, name) for name in DTYPE_NAMES}


def _spelled(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules under the names of Python 2 and of NumPy 2 as well."""
    for name, rule in list(rules.items()):
        rules[name.replace("builtins.", "__builtin__.")] = rule
        rules[name.replace("numpy.core.", "numpy._core.")] = rule
    return rules


RULES: dict[str, Any] = _spelled(
    {
        **{name: Rule(name, call) for name, call in _MAKERS.items()},
        **{name: Rule(name) for name in _ONLY_NAMED},
        **{name: _kept(name) for name in KEPT_BY_NAME},
        **_DTYPES,
    }
)
BUILDERS = {np.dtype: _keep_dtype, np.ndarray: _fill_array}
