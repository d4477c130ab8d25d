"""The CSRF word belongs to one login and does not show it."""

from station.console.csrf import csrf_of, is_csrf_of


def test_a_word_belongs_to_one_token() -> None:
    word = csrf_of("token")
    assert is_csrf_of("token", word)
    assert not is_csrf_of("other", word)
    assert not is_csrf_of("token", "")
    assert not is_csrf_of("token", "\ud800")
    assert "token" not in word
