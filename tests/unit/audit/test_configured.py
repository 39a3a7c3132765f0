"""Audit devices of a configuration file."""

import pytest

from ml_secrets.audit.configured import read_configured
from ml_secrets.errors import Invalid


def test_configuration_is_read_in_every_form():
    """Flat tables, Vault's labelled blocks, and blocks in lists name the same devices."""
    flat = [{"kind": "file", "path": "f", "file_path": "/a", "hmac_accessor": False}]
    labelled = [{"kind": "file", "f": {"options": {"file_path": "/a", "hmac_accessor": "false"}}}]
    listed = [{"kind": "file", "f": [{"options": [{"file_path": "/a", "hmac_accessor": False}]}]}]
    expected = read_configured(flat)
    assert expected[0].path == "f/"
    assert expected[0].options == {"file_path": "/a", "hmac_accessor": "false"}
    assert read_configured(labelled) == read_configured(listed) == expected
    assert read_configured([{"kind": "file", "file_path": "/a", "description": "d"}])[0].path == "file/"
    with pytest.raises(Invalid, match="same path"):
        read_configured(flat * 2)
    with pytest.raises(Invalid, match="log_raw"):
        read_configured([{"kind": "file", "file_path": "/a", "log_raw": True}])
