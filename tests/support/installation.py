"""syncd installed for a user as pipx and uv do it: an environment of its own, and a script in ``~/.local/bin``."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.user_manager import ROOT, site_packages


@dataclass(frozen=True)
class Installed:
    """One installation: the package's folder, and the script that users call."""

    package: Path
    script: Path

    @property
    def version(self) -> str:
        """The version that is installed now."""
        match = re.search(r'__version__ = "([^"]+)"', (self.package / "__init__.py").read_text("utf-8"))
        assert match
        return match[1]

    def upgrade(self, version: str) -> None:
        """Put another version in place: every file is replaced, as an installer does it."""
        fresh = self.package.with_name("syncd.new")
        shutil.copytree(self.package, fresh, symlinks=False)
        module = fresh / "__init__.py"
        module.write_text(module.read_text("utf-8").replace(f'"{self.version}"', f'"{version}"'), "utf-8")
        shutil.rmtree(self.package)
        fresh.rename(self.package)


def install(home: Path, python: str) -> Installed:
    """Install these sources into a home; the dependencies are borrowed from the environment of the tests."""
    environment = home / ".local" / "pipx" / "syncd"
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True, capture_output=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    package = packages / "syncd"
    shutil.copytree(ROOT / "syncd", package, symlinks=False, ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "borrowed.pth").write_text("\n".join(site_packages()), "utf-8")
    script = environment / "bin" / "syncd"
    main = "import sys\nfrom syncd.__main__ import main\nsys.exit(main())\n"
    script.write_text(f"#!{environment}/bin/python\n{main}", "utf-8")
    script.chmod(0o755)
    link = home / ".local" / "bin" / "syncd"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(script)
    return Installed(package, link)
