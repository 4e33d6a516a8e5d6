"""The toolset answers as the official one does: text and is_error byte for byte, the files it leaves too.

read, write and edit: T12 to T17 and T21 of the conformance cases, and further vectors of the same kind. Where ours differs on purpose (docs/internals/tools.md
lists every case), the test says what each of the two answers."""

import os
import random

import pytest

from peers.toolsets import NOBODY, Pair, bash, pair, write  # noqa: F401 (pair is a fixture)


def test_T12_write(pair):
    assert pair.call("write", {"file_path": "d/a.txt", "content": "l1\nl2\nl3\n"}) == ("wrote 9 bytes to d/a.txt", False)
    assert pair.call("write", {"file_path": "u", "content": "é"}) == ("wrote 2 bytes to u", False)
    assert oct((pair.ours_dir / "d").stat().st_mode)[-3:] == "700"
    assert oct((pair.ours_dir / "d/a.txt").stat().st_mode)[-3:] == "600"
    pair.same_tree()


def test_T13_where_write_is_refused(pair):
    pair.prepare(write("a", "x"))
    pair.prepare(lambda d: (d / "dir").mkdir())
    for path in ("/etc/x", "../x", "d/../../x"):
        text, error = pair.call("write", {"file_path": path, "content": "x"})
        assert error and "outside the session's working directory" in text
    for path in ("dir", "a/b", "a/b/c", "."):
        assert pair.call("write", {"file_path": path, "content": "x"})[1]
    pair.same_tree()


def test_write_modes_and_links(pair):
    for mode in (0o755, 0o640, 0o444, 0o000, 0o4755):
        pair.prepare(write(f"m{mode:o}", "old", mode))
        pair.call("write", {"file_path": f"m{mode:o}", "content": "new"})
    pair.prepare(lambda d: os.symlink("m755", d / "link"))
    pair.prepare(lambda d: os.symlink("fresh", d / "dangling"))
    pair.prepare(lambda d: os.symlink("deep/er/x", d / "dangling-deep"))
    pair.prepare(lambda d: os.symlink("/etc/nowhere", d / "out"))
    pair.prepare(lambda d: os.symlink("loop2", d / "loop1"))
    pair.prepare(lambda d: os.symlink("loop1", d / "loop2"))
    pair.prepare(lambda d: os.mkfifo(d / "fifo"))
    for path in ("link", "dangling", "dangling-deep", "out", "loop1", "loop1/x", "fifo", "@W@/abs", "./a//b/../c", "x/", "é/😀",
                 "a" * 255, "a" * 256, "/".join(["b" * 200] * 25), "sp ace/\ttab", "new\nline"):
        pair.call("write", {"file_path": path, "content": "text"})
    pair.same_tree()


def test_odd_values_for_a_path(pair):
    for value in [None, "", 0, 5, True, False, {"a": 1}, 1.5, 1e21, 1e-7, -0.0, 123456789012, 2**60, -2**63, 123456789012345680000, 1e20, 0.000001, 123.456e-5, 1.5e300, ["x"]]:
        pair.call("write", {"file_path": value, "content": "x"})
        pair.call("read", {"file_path": value})
        pair.call("edit", {"file_path": value, "old_string": "a", "new_string": "b"})


def test_odd_values_for_content(pair):
    for value in [None, "", 5, True, 1.5, {"a": 1}]:
        pair.call("write", {"file_path": "n/f", "content": value})
        pair.call("write", {"file_path": "g"})
        pair.same_tree()


def test_a_nul_in_a_path(pair):
    for name in ("read", "write", "edit"):
        pair.call(name, {"file_path": "a\x00b", "content": "", "old_string": "x", "new_string": "y"})
    pair.call("read", {"file_path": "\x00"})
    pair.call("read", {"file_path": "/etc/\"quo\\ted\"\x01\x7f\u2028é"})


# T14 to T16: read


def test_T14_ranges(pair):
    pair.prepare(write("a", "l1\nl2\nl3\n"))
    assert pair.call("read", {"file_path": "a"}) == ("l1\nl2\nl3\n", False)
    assert pair.call("read", {"file_path": "a", "view_range": [2, 3]}) == ("l2\nl3", False)
    assert pair.call("read", {"file_path": "a", "view_range": [2, -1]}) == ("l2\nl3\n", False)
    assert pair.call("read", {"file_path": "a", "view_range": [9, 12]}) == ("(no output)", False)
    assert pair.call("read", {"file_path": "a", "view_range": [3, 2]}) == ("(no output)", False)
    assert pair.call("read", {"file_path": "a", "view_range": [1]})[1]


RANGES = [[0, 0], [1, 1], [-3, 2], [1, 100], [2.5, 3], [1.5, 2.7], [1, 2, 3], [], [None, None], ["2", "3"], ["x", 2], [2, "x"],
          [True, 2], [4, 4], [5, 5], [1e300, 1e301], None, 7, True]


def test_ranges_of_small_files(pair):
    for content in ["l1\nl2\nl3\n", "l1\nl2\nl3", "", "\n", "a\r\nb\r\nc", "\n\n\n", "é\n€\n😀\n"]:
        pair.prepare(write("f", content))
        for view in RANGES:
            pair.call("read", {"file_path": "f", "view_range": view})


def test_T15_what_read_refuses(pair):
    pair.prepare(lambda d: (d / "dir").mkdir())
    pair.prepare(lambda d: os.symlink("/etc", d / "etc"))
    pair.prepare(lambda d: os.mkfifo(d / "fifo"))
    pair.prepare(lambda d: os.symlink("fifo", d / "to-fifo"))
    pair.prepare(lambda d: os.symlink("/dev/zero", d / "zero"))
    pair.prepare(write("f", "x"))
    for path in ("missing", "dir", "/etc/passwd", "etc/passwd", "fifo", "to-fifo", "zero", "f/x", ".", "..", "dir/..", "no/../f",
                 "@W@/../x", "//etc/passwd", "a" * 5000, "b" * 256 + "/x", "/proc/self/environ", "~/x"):
        pair.call("read", {"file_path": path})


def test_T16_large_files(pair):
    pair.prepare(write("big", "".join(f"{i:099d}\n" for i in range(3000))))
    text, error = pair.call("read", {"file_path": "big"})
    assert error and "300000" in text and "262144" in text
    for view in ([1, 2], [1, 2900], [2999, -1], [3000, 3001], [3001, 3002], [5000, -1], [1, 1], [0, 3], [-1, 2], [10, 5], [1.5, 3],
                 ["2", "4"], ["x", 2], [1, 2621], [1, 2622], [379, -1], [380, -1], [None, None]):
        pair.call("read", {"file_path": "big", "view_range": view})


def test_the_size_limit_to_the_byte(pair):
    for size in [262143, 262144, 262145]:
        pair.prepare(write("f", b"x" * size))
        pair.call("read", {"file_path": "f"})
        pair.call("edit", {"file_path": "f", "old_string": "y", "new_string": "z"})
        for view in ([1, 1], [1, 2], [2, 2], [1, -1], [3, 4]):
            pair.call("read", {"file_path": "f", "view_range": view})


def test_one_huge_line(pair):
    pair.prepare(write("f", b"first\n" + b"x" * 300000 + b"\nlast"))
    for view in ([1, 1], [2, 2], [2, 3], [3, 3], [1, -1], [2.5, 3.5], ["2", "2"]):
        pair.call("read", {"file_path": "f", "view_range": view})


BYTES = [b"", b"\n", b"\x00", b"a\x00b\n", b"\xff\xfe\xfd", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xed\xa0\x80",
         b"\xf4\x90\x80\x80", b"\xe2\x82\xac\xff\xe2\x82", b"\xef\xbb\xbfbom", bytes(range(256)), b"a\xf0\x9f\x98\x80\xf0\x9fz",
         b"\xe0\x80\x80\xf8\x88\x80\x80\x80", b"\r\n\r\n", b"\xf1\x80\x80\xe1\x80\xc2b\x80"]


def test_bytes_that_are_no_text(pair):
    for number in range(len(BYTES)):
        pair.prepare(write("f", BYTES[number]))
        pair.call("read", {"file_path": "f"})
        pair.call("read", {"file_path": "f", "view_range": [1, 2]})
        pair.call(*bash("cat f"))
        pair.call(*bash("cat f; exit_with() { return 3; }; exit_with"))


def test_random_bytes(pair):
    rng = random.Random(2026)
    for i in range(40):
        lead = bytes(rng.choice(b"\x00\n\ra\x7f\x80\xbf\xc2\xc3\xe0\xe2\xed\xef\xf0\xf4\xf5\xff\x9f\xa0\x90\x8f\x1b[m") for _ in range(300))
        pair.prepare(write("f", lead))
        pair.call("read", {"file_path": "f"})
        pair.call("read", {"file_path": "f", "view_range": [2, 5]})
        pair.call(*bash("cat f"))
    pair.prepare(write("f", bytes(rng.randrange(256) for _ in range(280000))))
    pair.call("read", {"file_path": "f", "view_range": [3, 700]})


# T17: edit


def test_T17_edit(pair):
    pair.prepare(write("a", "l1\nl2\nl3\nl1\n"))
    assert pair.call("edit", {"file_path": "a", "old_string": "l2", "new_string": "L$&2"}) == ("edited a (1 replacement(s))", False)
    assert (pair.ours_dir / "a").read_text() == "l1\nL$&2\nl3\nl1\n"
    assert pair.call("edit", {"file_path": "a", "old_string": "nope", "new_string": "x"})[1]
    text, error = pair.call("edit", {"file_path": "a", "old_string": "l1", "new_string": "x"})
    assert error and "2" in text
    assert pair.call("edit", {"file_path": "a", "old_string": "l1", "new_string": "x", "replace_all": True}) == \
        ("edited a (2 replacement(s))", False)
    pair.same_tree()


EDITS = [("aaaa", "aa", "b"), ("aaa", "aa", "b"), ("abab", "ab", ""), ("x", "x", "xx"), ("a\nb", "\n", "\r\n"), ("é€😀", "€", "$'$`$$$1"),
         ("\r\n\r\n", "\r\n", "\n"), ("aXbXc", "X", "XX"), ("", "a", "b"), ("abc", "abc", ""), ("a.c", ".", "\\"), ("tab\t", "\t", " "),
         ("nul\x00x", "\x00", "0"), ("nul\x00x", "x", "y\x00"), ("caf\u0065\u0301", "é", "e"), ("ababa", "aba", "c")]


def test_edits(pair):
    for number in range(len(EDITS)):
        for everything in [False, True]:
            content, old, new = EDITS[number]
            pair.prepare(write("f", content, 0o640))
            pair.call("edit", {"file_path": "f", "old_string": old, "new_string": new, "replace_all": everything})
            pair.call("read", {"file_path": "f"})
            pair.same_tree()


def test_odd_edits(pair):
    pair.prepare(write("f", "5 true null"))
    pair.prepare(lambda d: (d / "dir").mkdir())
    pair.prepare(lambda d: os.symlink("f", d / "link"))
    for change in ({"old_string": 5, "new_string": 6}, {"old_string": True, "new_string": False}, {"old_string": "", "new_string": "x"},
                   {"new_string": "x"}, {"old_string": None, "new_string": ""}, {"old_string": "6", "new_string": 7, "replace_all": "no"}):
        pair.call("edit", {"file_path": "f", **change})
        pair.same_tree()
    for path in ("missing", "dir", "link", "/etc/passwd", "f/x"):
        pair.call("edit", {"file_path": path, "old_string": "null", "new_string": "nil"})
    pair.same_tree()


def test_edit_keeps_bytes_it_does_not_replace(pair):
    """Deliberate: the official toolset turns every ill-formed byte of the file into U+FFFD; the answer is the same."""
    pair.prepare(write("f", b"\xff\xfe key=1 \xe2\x82\n"))
    pair.call("edit", {"file_path": "f", "old_string": "key=1", "new_string": "key=2"})
    assert (pair.ours_dir / "f").read_bytes() == b"\xff\xfe key=2 \xe2\x82\n"
    assert (pair.theirs_dir / "f").read_bytes() == "\ufffd\ufffd key=2 \ufffd\n".encode()
    pair.call("edit", {"file_path": "f", "old_string": "\ufffd\ufffd key", "new_string": "key"})
    assert (pair.ours_dir / "f").read_bytes() == b"key=2 \xe2\x82\n"


def test_edit_without_a_new_string_is_refused(pair):
    """Deliberate: the official toolset writes "undefined" into the file."""
    pair.prepare(write("f", "abc"))
    ours, theirs = pair.ask("edit", {"file_path": "f", "old_string": "b"})
    assert ours == ("edit: new_string is required", True)
    assert theirs == ("edited f (1 replacement(s))", False) and (pair.theirs_dir / "f").read_text() == "aundefinedc"
    assert (pair.ours_dir / "f").read_text() == "abc"


def test_edit_of_a_list_without_elements_is_refused(pair):
    """Deliberate: the official toolset finds it between all characters."""
    pair.prepare(write("f", "abc"))
    ours, theirs = pair.ask("edit", {"file_path": "f", "old_string": [], "new_string": "x"})
    assert ours == ("edit: old_string is required", True)
    assert theirs == ("edit: old_string appears 2 times in f (must be unique)", True)


def test_T21_unknown_and_missing_members(pair):
    pair.prepare(write("a", "x\n"))
    assert pair.call("read", {"file_path": "a", "nonsense": [1, {"x": None}]}) == ("x\n", False)
    for name in ("read", "write", "edit", "glob", "grep", "bash"):
        assert pair.call(name, {})[1]
        assert pair.call(name, {"unknown": 1})[1]


def test_permissions(workdir):
    if os.getuid() != 0:
        pytest.skip("only root can start both toolsets as another user")
    with Pair(workdir, user=NOBODY) as pair:
        def make(d):
            for name, mode in (("none", 0o000), ("ro", 0o444), ("wo", 0o222), ("nox/f", 0o644), ("rodir/f", 0o644)):
                write(name, "text\n", mode)(d)
                os.chown(d / name, NOBODY, NOBODY)
            os.chown(d / "nox", NOBODY, NOBODY)
            os.chown(d / "rodir", NOBODY, NOBODY)
            os.chmod(d / "nox", 0o600)
            os.chmod(d / "rodir", 0o500)
            write("foreign", "root's\n", 0o600)(d)
        pair.prepare(make)
        for path in ("none", "ro", "wo", "nox/f", "nox/g", "rodir/f", "rodir/g", "foreign"):
            pair.call("read", {"file_path": path})
            pair.call("edit", {"file_path": path, "old_string": "text", "new_string": "TEXT"})
            pair.call("write", {"file_path": path, "content": "new"})
        pair.call("write", {"file_path": "rodir/sub/x", "content": "new"})
        for pattern in ("**/*", "nox/*", "rodir/*", "*/f", "nox/f"):
            pair.call("glob", {"pattern": pattern})
        pair.call("grep", {"pattern": "e"}, lines=True)
        pair.same_tree()
