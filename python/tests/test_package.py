import catalex


def test_version_is_the_crates() -> None:
    assert catalex.__version__.count(".") == 2
