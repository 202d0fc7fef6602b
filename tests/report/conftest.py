from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" onload="alert(1)" x="',
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<svg/onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "<!-- ",
    "--><b>",
    "]]><b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "\x00<b>\x1b[31m\x7f",
    "\u202e<gnp.tac>\u202c",
    "lone \udcff surrogate <b>",
    "</details></pre></table><form action=//evil.example>",
    "`<b>`\n\n<h1>x</h1>",
)


@pytest.fixture(params=HOSTILE, ids=[f"label{i}" for i in range(len(HOSTILE))])
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)
