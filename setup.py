"""What setup.cfg cannot say: the notebooks of tutorials/ travel as the folder tinyvae/tutorials,
and the description for an index is the README without what leads into the repository.

Nothing is published yet, so there is no address to which a relative link or a picture could lead.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

README = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
DESCRIPTION = re.sub(r"!\[([^\]]*)\]\((?!http)[^)]*\)", r"*Picture: \1.*", README)
DESCRIPTION = re.sub(r"\[([^\]]*)\]\((?!http)[^)]*\)", r"\1", DESCRIPTION)

setup(
    packages=[*find_packages(include=["tinyvae", "tinyvae.*"]), "tinyvae.tutorials"],
    package_dir={"tinyvae.tutorials": "tutorials"},
    long_description=DESCRIPTION,
    long_description_content_type="text/markdown",
)
