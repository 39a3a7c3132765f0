"""`python -m ml_secrets.cli`: the same as `ml-secrets`."""

from __future__ import annotations

import sys

from ml_secrets.cli.main import main

sys.exit(main())
