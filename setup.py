"""All metadata stands in pyproject.toml; here what it cannot say: models/ travels as sparkxlmr.builtin."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["sparkxlmr*"]), "sparkxlmr.builtin"],
    package_dir={"sparkxlmr.builtin": "models"},
)
