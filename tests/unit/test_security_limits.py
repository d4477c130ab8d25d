from station.security.limits import Bucket, Shares

S = 1_000_000_000


def test_a_bucket_gives_what_it_holds_and_then_its_rate() -> None:
    bucket = Bucket(10, 5)
    assert [bucket.take(1, S) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.take(1, S + S // 10)
    assert not bucket.take(1, S + S // 10)


def test_a_bucket_never_holds_more_than_its_most() -> None:
    bucket = Bucket(10, 5)
    bucket.take(5, S)
    assert bucket.take(5, 100 * S)
    assert not bucket.take(1, 100 * S)


def test_what_is_refused_takes_nothing() -> None:
    bucket = Bucket(1, 5)
    assert not bucket.take(6, S)
    assert bucket.take(5, S)


def test_each_name_has_its_own_share() -> None:
    shares = Shares(1, 2)
    assert [shares.take(name, S) for name in "aaab"] == [True, True, False, True]


def test_names_without_end_are_forgotten_from_the_oldest_on() -> None:
    shares = Shares(1, 1)
    shares.take("first", S)
    assert not shares.take("first", S)
    for number in range(1024):
        shares.take(f"name {number}", S)
    assert shares.take("first", S)
