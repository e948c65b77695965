"""What cargo tells of the crates that are linked into the binary for a target."""

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What a manifest doesn't say, as read in the crate's licence file.
UNSAID = {"saffron": "BSD-3-Clause"}


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(target):
    """Name and version of the crates whose code is in the binary."""
    tree = cargo("tree", "--locked", "--edges=normal,no-proc-macro", f"--target={target}", "--prefix=none", "--format={p}")
    lines = {line.removesuffix(" (*)") for line in tree.splitlines()}
    return sorted(tuple(line.split()[:2]) for line in lines if "(proc-macro)" not in line)


def metadata(target):
    return json.loads(cargo("metadata", "--locked", "--format-version=1", f"--filter-platform={target}"))
