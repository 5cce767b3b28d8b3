import re
from importlib import metadata

import kinema
from kinema.version import __version__


def test_the_version_is_the_one_of_the_package():
    assert kinema.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", __version__)
    assert metadata.version("kinema") == __version__
