#!/usr/bin/python3
"""meshes.py FOLDER [SET...]: makes the benchmark's meshes by VTK 9 (Debian: python3-vtk9), and prints where they are, as JSON.

Most go the way that the shapes of MedShapeNet went: a binary mask on a grid of 1.5 mm, vtkDiscreteMarchingCubes,
vtkWindowedSincPolyDataFilter (30 iterations, normalised coordinates), vtkSTLWriter; others go other ways. A mesh follows from its
recipe and seed. What is in FOLDER already is not made again. Sets: codec (the default), large, small (2,000 files)."""
import dataclasses
import hashlib
import json
import math
import os
import sys

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import (vtkDecimatePro, vtkFlyingEdges3D, vtkMarchingCubes, vtkSmoothPolyDataFilter,
                                       vtkWindowedSincPolyDataFilter)
from vtkmodules.vtkFiltersGeneral import vtkDiscreteMarchingCubes
from vtkmodules.vtkImagingCore import vtkRTAnalyticSource
from vtkmodules.vtkIOGeometry import vtkSTLWriter

VERSION = 1  # of the way that a recipe becomes a mesh
SLAB = 16    # slices of a mask that are made at a time
FINE = 3.5   # voxels between the knots of the surface's roughness
ROUGH = 7    # its strength, in half voxels before the splines: token and residual sizes come out as on the real files
FACETS = 4   # for each voxel of a side of the grid, roughly: the first guess
TRIES = 6    # to come near to the number of facets that is asked for


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One mesh. `facets`: as many, within an eighth where the grid allows it, before `keep`, the share that decimation leaves."""
    name: str
    facets: int
    seed: int
    form: str = "lobes"
    spacing: tuple = (1.5, 1.5, 1.5)
    origin: tuple = (0.0, 0.0, 0.0)
    contour: str = "discrete"
    smooth: str = "sinc"
    keep: float = 1.0
    binary: bool = False
    crlf: bool = False

    def file(self):
        """A name that changes with the recipe."""
        text = repr((VERSION, dataclasses.astuple(self)))
        return "%s-%s.stl" % (self.name, hashlib.sha256(text.encode()).hexdigest()[:10])


def label(facets):
    return "%dM" % (facets // 1_000_000) if facets >= 1_000_000 else "%dk" % (facets // 1000) if facets >= 1000 else str(facets)


def codec_set():
    forms = ("lobes", "ellipsoid", "torus")
    sizes = (100, 300, 800, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 2_000_000)
    scan, shift = (0.8, 0.8, 3.0), (-123.4, 56.7, -801.25)
    yield from (Recipe("smooth-" + label(n), n, 10 + i, forms[i % 3]) for i, n in enumerate(sizes))
    yield Recipe("smooth-1k-crlf", 1000, 30, crlf=True)
    yield Recipe("smooth-100k-crlf", 100_000, 31, "torus", crlf=True)
    yield Recipe("scan-60k", 60_000, 32, spacing=scan, origin=shift)
    yield Recipe("scan-3k-crlf", 3000, 33, spacing=scan, origin=shift, crlf=True)
    yield Recipe("laplace-100k", 100_000, 34, "ellipsoid", (0.7, 0.7, 1.25), (5.5, 6.25, -77.7), "edges", "laplace")
    yield Recipe("plain-100k", 100_000, 35, "ellipsoid", origin=(-11.1, 22.2, 33.3), contour="cubes", smooth="none")
    yield Recipe("decimated-30k", 75_000, 36, "torus", (0.7, 0.7, 1.25), (5.5, 6.25, -77.7), "edges", "laplace", 0.4)
    yield Recipe("decimated-100k", 250_000, 37, keep=0.4)
    yield Recipe("wavelet-60k", 60_000, 38, "wavelet", smooth="none")
    yield Recipe("wavelet-300k", 300_000, 39, "wavelet", smooth="none")
    yield Recipe("wavelet-smooth-60k", 60_000, 40, "wavelet", smooth="laplace")
    yield Recipe("binary-1k", 1000, 41, binary=True)
    yield Recipe("binary-100k", 100_000, 42, "ellipsoid", binary=True)


def large_set():
    yield Recipe("large", 1_000_000, 50, "ellipsoid")


def small_set():
    rng = np.random.default_rng(51)
    for i in range(2000):
        yield Recipe("small-%04d" % i, int(rng.integers(830, 1170)), 1000 + i)


SETS = {"codec": codec_set, "large": large_set, "small": small_set}


def spread(knots, count, axis):
    """Cubic B-splines over the knots along one axis, at `count` even places."""
    at = np.asarray(count, np.float64) if np.ndim(count) else np.linspace(0, knots.shape[axis] - 3 - 1e-6, count)
    first, u = at.astype(int), at - np.floor(at)
    weights = ((1 - u) ** 3 / 6, (3 * u ** 3 - 6 * u ** 2 + 4) / 6, (-3 * u ** 3 + 3 * u ** 2 + 3 * u + 1) / 6, u ** 3 / 6)
    shape = [1] * knots.ndim
    shape[axis] = -1
    return sum(np.take(knots, first + i, axis) * w.astype(np.float32).reshape(shape) for i, w in enumerate(weights))


class Noise:
    """Smooth noise in a cube of n voxels a side."""

    def __init__(self, rng, n, knots):
        self.n, self.knots = n, rng.standard_normal((knots,) * 3).astype(np.float32)
        self.places = np.linspace(0, knots - 3 - 1e-6, n)

    def slab(self, begin, end):
        a = spread(self.knots, self.places[begin:end], 0)
        return spread(spread(a, self.n, 1), self.n, 2)


def depth(form, z, y, x, rng):
    """A function that tells, for places of the cube [-1, 1], how deep they are inside the form (below 0: outside)."""
    if form == "torus":
        thick = rng.uniform(0.18, 0.26)
        return lambda s: thick - np.sqrt((np.sqrt(x * x + y * y) - 0.6) ** 2 + z[s] * z[s])
    if form == "ellipsoid":
        a, b, c = rng.uniform(0.6, 0.85, 3).astype(np.float32)
        return lambda s: (1 - np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z[s] / c) ** 2)) * min(a, b, c)
    balls = np.column_stack([rng.uniform(-0.45, 0.45, (5, 3)), rng.uniform(0.25, 0.45, 5)]).astype(np.float32)

    def lobes(s):
        return np.max([r - np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z[s] - cz) ** 2) for cx, cy, cz, r in balls], axis=0)
    return lobes


def mask(form, n, rng):
    """A binary image of n^3 voxels: a form that is bent, with a rough surface; a third of them end at the image's last slice."""
    side = np.linspace(-1, 1, n, dtype=np.float32)
    z, y, x = side[:, None, None], side[None, :, None], side[None, None, :]
    cut, inside, bent = rng.integers(3) == 0, depth(form, z, y, x, rng), Noise(rng, n, 9)
    rough = Noise(rng, n, int(n / FINE) + 4)
    out = np.zeros((n, n, n), np.uint8)
    for begin in range(0, n, SLAB):
        part = slice(begin, min(n, begin + SLAB))
        out[part] = inside(part) + 0.2 * bent.slab(part.start, part.stop) + ROUGH / n * rough.slab(part.start, part.stop) > 0
    out[0] = out[:, 0] = out[:, -1] = out[:, :, 0] = out[:, :, -1] = 0
    if cut:
        return out[:n * 2 // 3]
    out[-1] = 0
    return out


def image(voxels, spacing, origin, rng):
    """The mask as a part of a larger image."""
    im, corner = vtkImageData(), rng.integers(20, 200, 3)
    im.SetDimensions(voxels.shape[::-1])
    im.SetSpacing(*spacing)
    im.SetOrigin(*(o + s * int(c) for o, s, c in zip(origin, spacing, corner)))
    im.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(voxels).ravel(), deep=1))
    return im


def wavelet(facets, seed):
    """VTK's own wavelet source and the value of its contour."""
    source, half = vtkRTAnalyticSource(), max(2, round(math.sqrt(facets / 69)))
    source.SetWholeExtent(-half, half, -half, half, -half, half)
    source.SetXFreq(60 + seed % 7)
    source.Update()
    im = source.GetOutput()
    im.SetSpacing(*(10 / half,) * 3)
    return im, 157.0


def contour(im, kind, value):
    f = {"discrete": vtkDiscreteMarchingCubes, "cubes": vtkMarchingCubes, "edges": vtkFlyingEdges3D}[kind]()
    f.SetInputData(im)
    f.SetValue(0, value)
    f.ComputeNormalsOff()
    f.ComputeGradientsOff()
    f.ComputeScalarsOff()
    f.Update()
    return f.GetOutput()


def filtered(mesh, recipe):
    steps = []
    if recipe.smooth == "sinc":
        f = vtkWindowedSincPolyDataFilter()
        f.SetNumberOfIterations(30)
        f.NonManifoldSmoothingOn()
        f.NormalizeCoordinatesOn()
        steps.append(f)
    elif recipe.smooth == "laplace":
        f = vtkSmoothPolyDataFilter()
        f.SetNumberOfIterations(20)
        steps.append(f)
    if recipe.keep < 1:
        f = vtkDecimatePro()
        f.SetTargetReduction(1 - recipe.keep)
        f.PreserveTopologyOn()
        steps.append(f)
    for f in steps:
        f.SetInputData(mesh)
        f.Update()
        mesh = f.GetOutput()
    return mesh


def masked(recipe):
    """The contour of a mask, of a grid that is fine enough for the facets asked for: the nearest of some tries."""
    n, best, least = max(5, round(math.sqrt(recipe.facets / FACETS))), None, math.inf
    for _ in range(TRIES):
        rng = np.random.default_rng(recipe.seed)
        im = image(mask(recipe.form, n, rng), recipe.spacing, recipe.origin, rng)
        mesh = contour(im, recipe.contour, 1 if recipe.contour == "discrete" else 0.5)
        share = max(mesh.GetNumberOfPolys(), 0.01) / recipe.facets
        if best is None or abs(math.log(share)) < least:
            best, least = mesh, abs(math.log(share))
        better = min(n + n // 2 + 1, max(5, round(n / math.sqrt(share))))
        if least < 0.12 or better == n:
            break
        n = better
    return best


def mesh_of(recipe):
    """The mesh of a recipe."""
    if recipe.form == "wavelet":
        im, value = wavelet(recipe.facets, recipe.seed)
        return filtered(contour(im, "edges", value), recipe)
    return filtered(masked(recipe), recipe)


def to_crlf(path):
    with open(path, "rb") as old, open(path + ".crlf", "wb") as new:
        while part := old.read(1 << 22):
            new.write(part.replace(b"\n", b"\r\n"))
    os.replace(path + ".crlf", path)


def write(mesh, path, binary=False, crlf=False):
    """Writes a mesh as VTK does; the file appears when it is whole."""
    w = vtkSTLWriter()
    w.SetFileName(path + ".part")
    w.SetInputData(mesh)
    if binary:
        w.SetFileTypeToBinary()
    if w.Write() != 1:
        raise OSError("%s cannot be written" % path)
    if crlf:
        to_crlf(path + ".part")
    os.replace(path + ".part", path)


def make(folder, recipe):
    """Path of a recipe's file, which is made where it is missing."""
    path = os.path.join(folder, recipe.file())
    if not os.path.exists(path):
        write(mesh_of(recipe), path, recipe.binary, recipe.crlf)
    return path


def main():
    if len(sys.argv) < 2 or set(sys.argv[2:]) - set(SETS):
        sys.exit(__doc__)
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    made = {recipe.name: make(folder, recipe) for name in sys.argv[2:] or ["codec"] for recipe in SETS[name]()}
    json.dump(made, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
