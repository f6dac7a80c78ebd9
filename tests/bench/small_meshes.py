#!/usr/bin/python3
"""Makes many small shapes for learning the start tables of the small mesh coder.

Usage: small_meshes.py FOLDER [COUNT]     (needs numpy and VTK: python3-vtk9)

Random blobs, tubes, plates and pieces cut off at the border of an image, as binary masks of 50 to
2,500 facets, through discrete marching cubes and a windowed sinc filter: the chain that most shapes
of MedShapeNet came from. The same seed gives the same meshes. Each is written as binary STL.
"""
import sys

import numpy as np
import vtk
from vtk.util import numpy_support


def noise(rng, shape, width):
    """Smooth noise of deviation 1."""
    spectrum = np.fft.rfftn(rng.standard_normal(shape))
    k = np.meshgrid(*[np.fft.fftfreq(n) for n in shape[:2]], np.fft.rfftfreq(shape[2]),
                    indexing='ij')
    damp = np.exp(-2 * (np.pi * width) ** 2 * sum(f * f for f in k))
    out = np.fft.irfftn(spectrum * damp, shape)
    return out / out.std()


def mask(rng):
    """A shape of some thousand voxels at most, maybe cut off by the border."""
    n = int(rng.integers(6, 34))
    axes = np.meshgrid(*[np.linspace(-1, 1, n)] * 3, indexing='ij')
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    x, y, z = (sum(turn[i, k] * axes[k] for k in range(3)) for i in range(3))
    kind = rng.integers(4)
    if kind == 0:
        a, b, c = rng.uniform(.3, .9, 3)
        field = 1 - np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    elif kind == 1:
        bend = rng.uniform(-.5, .5)
        field = rng.uniform(.12, .3) - np.sqrt(x ** 2 + (y - bend * z * z) ** 2)
        field = np.minimum(field, .85 - np.abs(z))
    elif kind == 2:
        field = rng.uniform(.15, .3) - np.abs(z + rng.uniform(-.4, .4) * x * y)
        field = np.minimum(field, .8 - np.sqrt(x * x + y * y))
    else:
        field = rng.uniform(.15, .3) - np.sqrt((np.sqrt(x * x + y * y) - .55) ** 2 + z * z)
    field = field + rng.uniform(.02, .2) * noise(rng, (n, n, n), rng.uniform(1.5, 4))
    inside = field > 0
    if rng.random() < .75:
        inside = np.pad(inside, 1)
    return inside


def mesh(rng, inside):
    image = vtk.vtkImageData()
    image.SetDimensions(inside.shape[::-1])
    spacing = (1.5,) * 3 if rng.random() < .7 else tuple(rng.choice([.7, .8, 1, 2, 2.5, 3], 3))
    image.SetSpacing(*spacing)
    image.SetOrigin(*(np.array(spacing) * rng.integers(0, 250, 3) * rng.choice([-1, 1, 1, 1], 3)))
    image.GetPointData().SetScalars(
        numpy_support.numpy_to_vtk(inside.astype(np.uint8).ravel(), deep=1))
    cubes = vtk.vtkDiscreteMarchingCubes()
    cubes.SetInputData(image)
    cubes.SetValue(0, 1)
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(cubes.GetOutputPort())
    smooth.SetNumberOfIterations(30)
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    smooth.Update()
    return smooth.GetOutput()


def main():
    folder, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 600
    rng = np.random.default_rng(20)
    made = 0
    while made < count:
        shape = mesh(rng, mask(rng))
        if not 50 <= shape.GetNumberOfPolys() <= 2500:
            continue
        writer = vtk.vtkSTLWriter()
        writer.SetFileName(f'{folder}/{made:04d}.stl')
        writer.SetFileTypeToBinary()
        writer.SetInputData(shape)
        writer.Write()
        made += 1


if __name__ == '__main__':
    main()
