"""How a foreign tensor becomes one of our weights, and back again."""

from dataclasses import dataclass, replace

import numpy as np


class Transform:
    """The identity, and the base of all transforms.

    `forward` goes from the checkpoint's tensor to our weight, `backward` the other way (for the
    writers), and `shape` tells the shape of `forward`'s result without reading anything.
    """

    def forward(self, array):
        return array

    def backward(self, array):
        return array

    def shape(self, shape):
        return tuple(shape)

    def bind(self, builder):
        """This transform for one model: most are the same for all, some need its sizes."""
        return self

    def view(self, array):
        """A view of our weight that has the layout of the checkpoint's tensor, to read into.

        A transform for which there is no such view says `view = None`.
        """
        return self.backward(array)


@dataclass(frozen=True)
class Transpose(Transform):
    """Swaps rows and columns, as between PyTorch's Linear (out, in) and Keras' Dense (in, out).

    A vector stays as it is, so one row of a name table serves a kernel together with its bias.
    """

    def forward(self, array):
        return np.transpose(array)

    def backward(self, array):
        return np.transpose(array)

    def shape(self, shape):
        return tuple(shape)[::-1]


@dataclass(frozen=True)
class Part(Transform):
    """One of several equal pieces that the checkpoint stores glued together (query, key, value).

    Args:
        index: which piece, from 0.
        count: how many pieces there are.
        axis: the axis of the *checkpoint's* tensor along which they are glued.
        then: the transform that the piece goes through afterwards.

    `backward` gives back the piece alone; a writer that has all pieces calls `glue`.
    """

    index: int
    count: int
    axis: int
    then: Transform = Transform()
    view = None  # the other pieces have no place in our weight

    def forward(self, array):
        size = array.shape[self.axis] // self.count
        piece = np.moveaxis(array, self.axis, 0)[self.index * size : (self.index + 1) * size]
        return self.then.forward(np.moveaxis(piece, 0, self.axis))

    def backward(self, array):
        return self.then.backward(array)

    def bind(self, builder):
        return replace(self, then=self.then.bind(builder))

    def glue(self, pieces):
        """Joins the `backward` results of all pieces, given in the order of their index."""
        return np.concatenate(pieces, axis=self.axis)

    def shape(self, shape):
        shape = list(shape)
        if not -len(shape) <= self.axis < len(shape) or shape[self.axis] % self.count:
            return tuple(shape)  # fits nothing: the check of shapes reports it
        shape[self.axis] //= self.count
        return self.then.shape(shape)


@dataclass(frozen=True)
class HalvesToPairs(Transform):
    """Reorders the channels of each head from Llama's rotary layout to RoFormer's.

    Rotary positions turn channel i together with i + size/2 in the files of most newer models, and
    neighbours (2i, 2i + 1) in ours. The last axis of *our* weight holds the channels of all heads.

    Args:
        size: channels of a head; None is the key size of the model it is bound to.
        then: the transform that the tensor goes through before, from the file's axes to ours.
    """

    size: int = None
    then: Transform = Transform()
    view = None

    def bind(self, builder):
        return HalvesToPairs(self.size or builder.attention_key_size, self.then.bind(builder))

    def forward(self, array):
        array = self.then.forward(array)
        split = array.reshape(*array.shape[:-1], -1, 2, self.size // 2)
        return np.swapaxes(split, -1, -2).reshape(array.shape)

    def backward(self, array):
        split = np.reshape(array, (*array.shape[:-1], -1, self.size // 2, 2))
        return self.then.backward(np.swapaxes(split, -1, -2).reshape(array.shape))

    def shape(self, shape):
        return self.then.shape(shape)


IDENTITY = Transform()
TRANSPOSE = Transpose()
