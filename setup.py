"""What setup.cfg cannot say: the notebooks of tutorials/ travel as the folder tinyvae/tutorials."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tinyvae", "tinyvae.*"]), "tinyvae.tutorials"],
    package_dir={"tinyvae.tutorials": "tutorials"},
)
