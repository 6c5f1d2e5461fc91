"""The comparison of methods in a browser: cancel, and go on from there."""

import pytest


@pytest.mark.slow  # with others, to keep `make test` short
def test_methods_are_compared_cancelled_and_resumed(tab):
    one = tab().open("methods")
    one.page.get_by_text("Copy as command").wait_for(timeout=240_000)
    one.idle().healthy()
    for name in ("Rank", "Coefficient x rank", "Integrated gradients", "Norm", "Coefficient"):
        one.field("compared").get_by_role("button", name=name, exact=True).click()
        one.idle()
    one.field("run").get_by_role("button").click()
    main = one.page.get_by_test_id("stMain")
    cancel = main.get_by_role("button", name="Cancel")
    cancel.wait_for()
    key = one.query("run")
    one.wait_until(lambda: one.server.shards(key))
    cancel.click()
    one.page.get_by_text("This run was cancelled").wait_for()
    finished = one.server.shards(key)
    assert 0 < finished < 75
    # Starting again goes on from there.
    one.idle()
    one.field("run").get_by_role("button").click()
    cancel.wait_for()
    one.wait_until(lambda: one.server.shards(key) > finished)
    assert one.query("run") == key
    cancel.click()
    one.page.get_by_text("This run was cancelled").wait_for()
    one.healthy()
