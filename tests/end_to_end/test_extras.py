"""Commands whose extra is not installed: they say so, with the line that installs it where this program runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from syncd.extras import missing
from tests.support.desk import TABLE, Desk, bare_environment


@pytest.fixture
def bare(tmp_path: Path) -> Desk:
    """A workspace, and a Python that finds none of the packages of the extras."""
    hidden = tmp_path / "hidden"
    for name in ("starlette", "uvicorn", "prometheus_client", "mcp", "valkey"):
        (hidden / name).mkdir(parents=True)
        gone = f"raise ModuleNotFoundError('not on this machine', name={name!r})\n"
        (hidden / name / "__init__.py").write_text(gone)
    environ = bare_environment(tmp_path)
    made = Desk(tmp_path / "shop", {**environ, "PYTHONPATH": f"{hidden}:{environ['PYTHONPATH']}"})
    made.root.mkdir()
    made.file.write_text(TABLE)
    made("init", "--yes", "--mode", "flatfile")
    return made


@pytest.mark.parametrize(
    ("words", "extra"), [(("ui",), "ui"), (("mcp",), "mcp"), (("mcp", "--http"), "mcp"), (("metrics",), "metrics")]
)
def test_a_command_without_its_extra(bare: Desk, words: tuple[str, ...], extra: str) -> None:
    """The hint names this interpreter, since the pip of a shell knows another."""
    said = bare(*words, code=78).stderr
    assert f"needs the extra '{extra}'" in said
    hint = said.splitlines()[-1]
    assert shlex.quote(sys.executable) in hint
    assert hint.endswith(f"'syncd[{extra}]'")


def test_a_daemon_that_is_to_push_without_its_extra(bare: Desk) -> None:
    """Where Valkey is configured and its client is not there, the daemon does not start."""
    bare("config", "set", "valkey_url_env", "SHOP_VALKEY")
    environ = {**bare.environ, "SHOP_VALKEY": "valkey://127.0.0.1:1"}
    assert "'syncd[valkey]'" in Desk(bare.root, environ)("run", code=78).stderr


def test_without_pip_it_is_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that uv made has no pip."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing("the dashboard", "ui").hint == f"uv pip install --python {shlex.quote(sys.executable)} 'syncd[ui]'"
