"""Close codes and reasons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortado.websocket.close import check_close_code, cut_reason


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_legal_codes(code):
    """Codes that a close frame may carry come back."""
    assert check_close_code(code) == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, -1, True, 1000.0, None])
def test_illegal_codes(code):
    """Any other value is a ValueError that names it and says what is allowed."""
    with pytest.raises(ValueError, match="1000-1003"):
        check_close_code(code)


@given(st.text())
def test_reason_is_a_prefix_that_fits(reason):
    """A reason becomes at most 123 bytes of UTF-8; nothing but its end is cut, and as little as possible."""
    cut = cut_reason(reason)
    encoded = cut.encode()
    assert len(encoded) <= 123
    assert reason.encode(errors="replace").startswith(encoded)
    assert len(encoded) > 119 or cut == reason.encode(errors="replace").decode()


def test_reason_with_a_lone_surrogate_can_be_sent():
    """What is no valid Unicode is replaced, so that the frame can be sent."""
    assert cut_reason("a\ud800b") == "a?b"
    assert cut_reason(None) == ""
