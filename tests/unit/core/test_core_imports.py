import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["nlpcompress", "nlpcompress.cli.main"])
def test_importing_loads_no_torch(module):
    code = (
        f"import {module}, sys; print({{'torch', 'transformers', 'pydantic'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_exists():
    import nlpcompress

    for name in nlpcompress.PUBLIC:
        assert getattr(nlpcompress, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nlpcompress.nothing
