"""All metadata is in pyproject.toml; this file holds what it cannot express.

``models/`` is packaged as ``sparkxlmr.builtin``. An editable installation puts the checkout's path on
``sys.path`` (a plain ``.pth`` file) instead of setuptools' import hook. The hook comes after the path: in the
folder that holds a checkout called ``sparkxlmr``, Python would import that checkout as an empty namespace
package. A regular package on the path takes precedence, wherever Python starts.
"""

from setuptools import find_packages, setup
from setuptools.command.editable_wheel import editable_wheel

BUILTIN = "sparkxlmr.builtin"


class PathEditableWheel(editable_wheel):
    """An editable wheel of the package folder alone, a layout for which setuptools writes a ``.pth`` file."""

    def finalize_options(self) -> None:
        # The presets are found beside the package in a checkout: see sparkxlmr/presets/builtin.py.
        self.distribution.packages.remove(BUILTIN)
        self.distribution.package_data.pop(BUILTIN, None)
        self.distribution.package_dir = {"": "."}
        super().finalize_options()


setup(
    packages=[*find_packages(include=["sparkxlmr*"]), BUILTIN],
    package_dir={BUILTIN: "models"},
    cmdclass={"editable_wheel": PathEditableWheel},
)
