"""`tinyvae impute RUN DATA`: the missing cells of a table, filled in."""

import argparse
from pathlib import Path

import numpy as np

from tinyvae.cli import inputs, outputs, terminal
from tinyvae.data import NAMES, csv_reader, preparation, readers
from tinyvae.data.dataset import counted
from tinyvae.data.variables import in_range, places, unused
from tinyvae.evaluate import impute
from tinyvae.models import VAE
from tinyvae.train.files import write_atomically, write_text
from tinyvae.train.runs import Run

DESCRIPTION = """\
Fill in the missing cells of DATA: an empty cell, NA, NaN or ? of a table, NaN of an array. A number
becomes its mean given what the row shows, a category the most probable one (MIWAE, by importance
sampling); --draws gives several tables, in which cells are drawn instead. Whether a cell is missing
must not depend on what it hides. What is observed stays as it stands in the file."""
FEW = 10  # effective samples


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    p = inputs.parser("impute", DESCRIPTION)
    inputs.add_data(p)
    what = "filled.csv (.tsv, .txt), whose separators are those of DATA; or .npy of an array"
    outputs.add_out(p, what, ".csv", ".tsv", ".txt", ".npy")
    text = "this many tables, one below the other, with a first column `draw`, for multiple"
    p.add("--draws", terminal.COUNT, "M", None, f"{text} imputation")
    p.add("--samples", terminal.COUNT, "S", 1000, "draws of z for each row")
    p.add(*outputs.UNBOUNDED)
    p.add(*inputs.SEED)
    return terminal.run(p, _impute, argv)


def _impute(given: argparse.Namespace) -> None:
    with inputs.opened(given) as run:
        if not isinstance(model := run.model, VAE):
            problem = f"{run.path} holds an autoencoder, which has no distribution to impute from"
            raise ValueError(f"{problem}: train a vae")
        text = given.data not in NAMES and csv_reader.is_text(Path(given.data))
        if text and given.out.suffix == ".npy":
            raise ValueError(f"--out {given.out}: a table is filled in as .csv")
        x, labels = inputs.read(run, given.data, given.data_dir, missing=True)
        x = np.asarray(x[:])
        how = {"samples": given.samples, "draws": given.draws or 0, "seed": given.seed}
        found = impute(model, x, labels=labels, **how)
        gaps = np.isnan(x)  # (N, D)
        filled = found.draws if given.draws else found.x[None]  # (M, N, D)
        if not np.isfinite(filled).all():
            raise ValueError(f"{given.out} would hold values that are not finite: {REMEDY}")
        scaling, listed = outputs.units(run)
        filled, moved = scaling.undo(filled), 0
        if not given.unbounded:
            filled, moved = in_range(filled, listed, gaps)
        write = _write_text if text else _write_array
        n = write(given.out, run, given.data, filled, gaps, given.draws is not None)
        few = int((found.effective_samples < FEW).sum())
        _report(given, n, moved, few, gaps)


REMEDY = "the data lie too far from those of the run"


def _report(given: argparse.Namespace, n: int, moved: int, few: int, gaps: np.ndarray) -> None:
    """Say what was filled in, and what lessens the trust in it."""
    tables = f", {counted(given.draws, 'draw')} of each" if given.draws else ""
    rows = counted(int(gaps.any(axis=1).sum()), "row")
    if n:
        print(f"{given.out}: {counted(n, 'missing cell')} in {rows} filled in{tables}")
    else:
        print(f"{given.out}: no cell of {given.data} is missing; written as it was{tables}")
    if moved:
        print(outputs.moved(moved))
    empty = np.flatnonzero(gaps.all(axis=1))
    if len(empty):
        what = f"{counted(len(empty), 'row')} (the first: {empty[0]}, from 0)"
        terminal.note(f"nothing is observed in {what}: filled in from the prior")
    if few:
        what = f"fewer than {FEW} effective samples in {counted(few, 'row')}"
        terminal.note(f"{what}: take more --samples")


def _write_text(
    out: Path, run: Run, data: str, filled: np.ndarray, gaps: np.ndarray, several: bool
) -> int:
    """Write the file's own cells, and what is filled in (M, N, D) where they are missing."""
    scaling, listed = outputs.units(run)
    text = preparation.text_like(data, inputs.config_of(run, data))
    missing = [gaps[:, place.start] for place in places(listed)]  # of each variable (N,)
    parts = [text.header(draw=several)]
    for m, table in enumerate(filled):
        columns = outputs.cells(table, listed, scaling)
        cells = {
            (row, j): column[row]
            for column, some, j in zip(columns, missing, text.layout.kept, strict=True)
            for row in np.flatnonzero(some).tolist()
        }
        parts.append(text.filled(cells, m + 1 if several else None))
    write_text(out, "".join(parts))
    return int(sum(some.sum() for some in missing))


def _write_array(
    out: Path, run: Run, data: str, filled: np.ndarray, gaps: np.ndarray, several: bool
) -> int:
    """Write the array (N, D), or as many (M, N, D) as were drawn."""
    raw = readers.read_table(data).raw if data not in NAMES else None
    if raw is not None and raw.dtype.kind == "f":
        filled = np.where(gaps, filled, raw[np.arange(len(gaps))])
    if out.suffix == ".npy":
        write_atomically(out, lambda file: np.save(file, filled if several else filled[0]))
        return int(gaps.sum())
    names = [v.name for v in outputs.units(run)[1]]
    draws = np.repeat(np.arange(len(filled)) + 1, len(gaps))[:, None]
    parts = [draws] * several + [filled.reshape(-1, filled.shape[-1])]
    outputs.write_table(out, [unused("draw", names)] * several + names, parts)
    return int(gaps.sum())
