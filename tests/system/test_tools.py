"""The toolset answers as the official one does: text and is_error byte for byte, the files it leaves too.

T1 to T21 are the conformance cases; what follows are further vectors of the same kind. Where ours differs on purpose
(docs/internals/tools.md lists every case), the test says what each of the two answers."""

import os
import random
import subprocess

import pytest

from peers.toolsets import Pair

NO_RG = {"PATH": "/nonexistent-bin"}
NOBODY = 65534


@pytest.fixture
def pair(workdir):
    with Pair(workdir) as p:
        yield p


@pytest.fixture
def walk_pair(workdir):
    """A pair that finds no ripgrep."""
    with Pair(workdir, env=NO_RG) as p:
        yield p


def write(name, content, mode=None, mtime=None):
    def do(d):
        path = d / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            path.chmod(mode)
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime))
    return do


def bash(command, **more):
    return "bash", {"command": command, **more}


# T1 to T11: bash


def test_T1_streams_are_merged(pair):
    assert pair.call(*bash("echo out; echo err >&2")) == ("out\nerr", False)


def test_T2_state_persists(pair):
    assert pair.call(*bash("cd /tmp; export X=1")) == ("(no output)", False)
    assert pair.call(*bash("pwd; echo $X")) == ("/tmp\n1", False)


def test_T3_exit_codes(pair):
    assert pair.call(*bash("false")) == ("exit 1", True)
    assert pair.call(*bash("echo bad; f(){ return 7; }; f")) == ("bad", True)
    for code in (0, 2, 9, 10, 99, 100, 127, 128, 255):
        pair.call(*bash(f"(exit {code})"))


def test_T4_a_shell_that_exits_is_replaced(pair):
    text, error = pair.call(*bash("exit 3"))
    assert error and "terminated" in text
    assert pair.call(*bash("pwd")) == ("@W@", False)


def test_T5_stdin_is_empty(pair):
    assert pair.call(*bash("cat")) == ("(no output)", False)
    pair.call(*bash("read x; echo \"status $? [$x]\""))


def test_T6_timeout(pair):
    pair.call(*bash("X=1"))
    assert pair.call(*bash("sleep 5", timeout_ms=300)) == ("bash: bash command timed out after 300ms", True)
    assert pair.call(*bash("echo [$X]; pwd")) == ("[]\n@W@", False)


def test_T6_odd_timeouts(pair):
    for limit in [0, -5, 1.5, "200", "abc", 3000000000, True, 50]:
        assert pair.call(*bash("sleep 1", timeout_ms=limit))[1]


def test_T7_ansi_sequences_and_newlines_are_dropped(pair):
    assert pair.call(*bash(r"printf '\033[31mred\033[0m\n\n\n'")) == ("red", False)
    for text in (r"\033[1;31;?4m a", r"\033[ qx", r"\033[!px", r"a\033[", r"a\033[12", r"\033]0;title\007x", r"\033\033[mx",
                 r"\033[3~k", r"\n\n\033[0m\n", r"a\r\nb\r\n", r"\x9b31mx", r"\033[999999999999Zz", r"\033[=3hx"):
        pair.call(*bash(f"printf '{text}'"))


def test_T8_only_the_tail_of_much_output_is_kept(pair):
    text, error = pair.call(*bash("head -c 200000 /dev/zero | tr '\\0' a; echo; echo END"))
    assert not error and text.startswith("[output truncated]\naaa") and text.endswith("END")


def test_T8_the_limit_to_the_byte(pair):
    for size in [102342, 102343, 102344, 102345, 102346, 102399, 102400, 102401]:
        pair.call(*bash(f"head -c {size} /dev/zero | tr '\\0' a"))


def test_T8_the_limit_counts_the_exit_status(pair):
    for code in [7, 77, 177]:
        for size in [102341, 102342, 102343, 102344]:
            pair.call(*bash(f"head -c {size} /dev/zero | tr '\\0' a; (exit {code})"))


def test_T8_the_limit_counts_utf16_units(pair):
    for unit, count in [("é", 120000), ("€", 120000), ("😀", 60000), ("x😀", 40000), ("é\\n", 60000)]:
        text, _ = pair.call(*bash(f"for ((i=0;i<{count};i+=100)); do printf '{unit * 100}'; done"))
        assert text.startswith("[output truncated]\n")


def test_T9_restart(pair):
    assert pair.call("bash", {}) == ("bash: command is required", True)
    pair.call(*bash("cd /tmp"))
    assert pair.call("bash", {"restart": True}) == ("bash session restarted", False)
    assert pair.call(*bash("pwd", restart=True)) == ("@W@", False)
    pair.call(*bash("", restart=False))
    pair.call(*bash(None))


def test_T10_a_background_job_does_not_delay_the_answer(pair):
    assert pair.call(*bash("sleep 60 & echo bg")) == ("bg", False)
    pair.call(*bash("kill %1 2>&1; kill $! 2>&1; wait; echo done"))


def test_T11_unfinished_commands(pair):
    assert pair.call(*bash('echo "unterminated', timeout_ms=500))[1]
    text, error = pair.call(*bash("if", timeout_ms=3000))
    assert error and "terminated" in text
    pair.call(*bash("echo $(", timeout_ms=500))
    pair.call(*bash("cat <<X\nno end", timeout_ms=500))
    pair.call(*bash("echo )"))
    pair.call(*bash("}"))
    pair.call(*bash("echo ok"))


# T12 and T13: write


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
    for value in [None, "", 0, 5, True, False, {"a": 1}, 1.5, 1e21, 1e-7, -0.0, 123456789012, ["x"]]:
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


# T18: glob


def some_tree(d):
    names = ["a.txt", "b.txt", "d/a.txt", "d/c.md", "d/e/f.txt", "d/e/.hidden.txt", ".dot/x.txt", "node_modules/m.txt", "d/.git/x.txt",
             ".git/config.txt", "sp ace/é.txt", "br[1]/x{2}.txt", "n1", "n2", "n10", "n-1", "A.TXT", "d/node_modules/y.txt", "..x", "!x",
             "#y", "a,b", "😀.txt", "new\nline", "x\\y.txt"]
    for i, name in enumerate(names):
        write(name, name, mtime=(1_600_000_000 + i % 7) * 10**9 + i % 3)(d)
    os.symlink("d", d / "ld")
    os.symlink("a.txt", d / "la.txt")
    os.symlink("/etc", d / "etc")
    os.symlink(".", d / "self")
    os.symlink("gone", d / "dangling.txt")
    os.mkfifo(d / "fifo.txt")
    os.makedirs(d / "dir.txt")


GLOBS = """**/*.txt *.none /etc/* ../* * ** **/ */ . ./* ./**/*.txt */*.txt d/**/* d/* d/** **/a.txt a.txt d/a.txt ld/* ld/**/*.txt self/*.txt
self/self/*.txt etc/passwd etc/* **/passwd {a,b}.txt {a,b,c/../d/a}.txt n{1..3} n{1..10..3} n{01..10} n{a..c} {a,b {a}.txt {}.txt a{,.txt} {{a,b},d/a}.txt
[ab].txt [!a].txt [^a].txt [a-b].txt [b-a].txt [[:alpha:]].txt [[:lower:]]*.txt ?.txt ??.txt 😀.txt ?(a|b).txt *(a|b).txt +(a|b).txt @(a|b).txt !(a).txt
!(*.txt) !(a|b).* .dot/* .*/* .* **/.* **/.*.txt ..x !x #y a,b *.TXT a\\.txt d\\a.txt \\a.txt br[1]/* br[[]1]/* br*/x{2}.txt br*/* sp*/* */é.txt
**/*e/** **/e/** **/d/**/* d//a.txt d/./a.txt d/e/../a.txt {.,d}. {a..} a* **a *** */** **/** **/**/*.txt node_modules/* **/node_modules/** d/node_modules/*
.git/* **/.git/** ./ d d/ d/e/ d/e/f.txt/ **/f.txt/ @(d)/* +(d)/**/*.txt !(d)/*.txt *(.)dot/* [.]dot/* [.][.]/* {d,ld}/* la.txt dangling.txt fifo.txt *.md|* (a) [ ] [] [a
{ } {a {1..} ** /**""".split()


def test_T18_glob(pair):
    pair.prepare(some_tree)
    text, error = pair.call("glob", {"pattern": "**/*.txt"})
    assert not error and all(line.startswith("@W@/") for line in text.split("\n") if line != "line")
    assert pair.call("glob", {"pattern": "*.none"}) == ("no matches", False)
    for bad in ("/etc/*", "../*"):
        assert pair.call("glob", {"pattern": bad})[1]
    assert pair.call("glob", {"pattern": "*", "path": "/etc"})[1]


def test_many_glob_patterns(pair):
    pair.prepare(some_tree)
    for pattern in GLOBS:
        pair.call("glob", {"pattern": pattern})
    for path in ("d", "ld", "self/d", "missing", "a.txt", "."):
        for pattern in ("*", "**/*.txt", "../*", "node_modules/*", "**", ""):
            pair.call("glob", {"pattern": pattern, "path": path})
    for pattern in ("new\nline", "sp ace/*", "x\\y.txt", "a\x00b", "d{/a,/c}.*", 5, True, ["a"], {"a": 1}, None, "", "{" * 500 + "a,b" + "}" * 500,
                    "a" * 65536, "a" * 65537, "é" * 65537, "{1..3}" * 5, "*" * 300, "?" * 300, "!(" * 5 + "a" + ")" * 5, "+(a" * 20):
        pair.call("glob", {"pattern": pattern})
    for path in (5, "", None, "../..", "/etc", "etc", "a\x00"):
        pair.call("glob", {"pattern": "*", "path": path})


ATOMS = ["a", "b", "c", ".", "*", "?", "**", "/", "/", "/", ".txt", "[ab]", "[!a]", "[a-c]", "[^a]", "[]]", "[a-]", "{a,b}", "{1..3}",
         "{01..10..3}", "{a..c}", "{,x}", "*(a|b)", "+(a|b)", "?(a)", "@(a|b)", "!(a)", "!(a|*.txt)", "é", "😀", "x y", "[x]", "{k}", "!n",
         "a(b)", "node_modules", ".git", "hid", "..", "{}", "}", "{", ")", "|", "(", "[", "]", ",", "$", "@()", "*(a|.*)", "+(.h*|a)",
         "@(@(a|.h*)|b)", "!(!(a))", "@(a|?(b))", "\\", "*/", "**/", "**/", "*.txt", "-", "+", "!"]


def random_tree(rng):
    names = ["a", "b", "c", "ab", "abc", "a.txt", "b.txt", ".hid", ".hid.txt", "a-b", "é", "😀", "x y", "[x]", "{k}", "!n", "a(b)",
             "node_modules", ".git", "..x", "1", "2", "10", "01", "A", "aab", "aaab", "$x", "a+b", "@", "a,b"]
    plan = []

    def fill(prefix, depth):
        for name in rng.sample(names, rng.randint(4, 12)):
            kind = rng.random()
            if depth < 3 and kind < 0.4:
                plan.append(("dir", prefix + name, None))
                fill(prefix + name + "/", depth + 1)
            elif kind < 0.5:
                plan.append(("link", prefix + name, rng.choice(["..", ".", "/etc", "a", "b.txt", "nowhere", "../a"])))
            else:
                plan.append(("file", prefix + name, 1_600_000_000 + rng.randint(0, 5)))

    def make(d):
        for kind, name, value in plan:
            if kind == "dir":
                (d / name).mkdir()
            elif kind == "link":
                os.symlink(value, d / name)
            else:
                write(name, b"", mtime=value * 10**9)(d)

    fill("", 0)
    return make


@pytest.mark.parametrize("seed", range(2))
def test_random_glob_patterns(pair, seed):
    rng = random.Random(seed)
    pair.prepare(random_tree(rng))
    for _ in range(200):
        question = {"pattern": "".join(rng.choice(ATOMS) for _ in range(rng.randint(1, 7)))}
        if rng.random() < 0.2:
            question["path"] = rng.choice(["a", "b", ".", "ab", "c"])
        pair.call("glob", question)


def test_glob_answers_the_newest_200(pair):
    def make(d):
        for i in range(450):
            write(f"f{i}", b"", mtime=(1_600_000_000 + i % 300) * 10**9 + i * 1_000)(d)
    pair.prepare(make)
    text, _ = pair.call("glob", {"pattern": "*"})
    assert text.count("\n") == 199
    pair.call("glob", {"pattern": "f?(4)?"})


def test_ages_that_differ_by_less_than_a_millisecond(pair):
    def make(d):
        for i, offset in enumerate([0, 100, 200, 999, 1000, 1001, 300, 999_999, 1_000_000, 120, 240, 360]):
            write(f"f{i}", b"", mtime=1_700_000_000_123_000_000 + offset)(d)
    pair.prepare(make)
    pair.call("glob", {"pattern": "*"})


def test_glob_classes_that_the_official_one_trips_over(pair):
    """Deliberate: with a POSIX class the official one builds an expression that JavaScript refuses when the same part holds one of
    "-", ",", "#" or a space. Ours answers."""
    pair.prepare(write("a-1", ""))
    ours, theirs = pair.ask("glob", {"pattern": "a-[[:digit:]]"})
    assert ours == ("@W@/a-1", False)
    assert theirs[1] and theirs[0].endswith("Invalid escape")


# T19 and T20: grep


def grep_tree(d):
    write("d/a.txt", "m1\nx\nm2\n")(d)
    write("b.txt", "no\nm3")(d)
    write(".hidden", "m4\n")(d)
    write(".gitignore", "ignored\n")(d)
    write("ignored", "m5\n")(d)
    write("node_modules/x", "m6\n")(d)
    write(".git/x", "m7\n")(d)
    write("crlf", "m8\r\nm9\r\n")(d)
    write("bin", b"m1\n\x00m2\nm3")(d)
    write("latin", b"m\xe9\xff\n")(d)
    write("long", "m" * 1999 + "1\n" + "m" * 2000 + "1\nm2\n")(d)
    write("sp ace/é", "m😀\n")(d)
    os.symlink("d", d / "ld")
    os.symlink("b.txt", d / "lb")
    os.symlink("/etc", d / "etc")
    os.mkfifo(d / "fifo")


PATTERNS = ["m\\d", "none", "(", "m", "^m", "m$", "M", "m.", "[", "a{2,1}", "\\bm2\\b", "é", "😀", "m\\s", ".", "^$", "x|m3", "-n", "--help", "-e",
            "(m)(\\d)", "(?i)M", "\\p{L}", "\\", "m\n", "*", "+", "m**"]
PATHS = [None, "d", "d/a.txt", "b.txt", "lb", "ld", "etc", "/etc/passwd", "missing", "bin", "crlf", "latin", "long", ".", "..", "sp ace", 5]


def test_T19_grep_with_ripgrep(pair):
    pair.prepare(grep_tree)
    text, error = pair.call("grep", {"pattern": "m\\d"}, lines=True)
    assert not error and "@W@/d/a.txt:1:m1" in text
    assert pair.call("grep", {"pattern": "none"}) == ("no matches", False)
    assert pair.call("grep", {"pattern": "("})[1]
    for pattern in PATTERNS + [5, True, ["m"], "", None, "a\x00b"]:
        pair.call("grep", {"pattern": pattern}, lines=True)
    for path in PATHS[1:]:
        pair.call("grep", {"pattern": "m", "path": path}, lines=True)


def test_T19_grep_without_ripgrep(walk_pair):
    walk_pair.prepare(grep_tree)
    for pattern in PATTERNS + [5, True, ["m"], "", None, "a\x00b"]:
        walk_pair.call("grep", {"pattern": pattern})
    for path in PATHS[1:]:
        walk_pair.call("grep", {"pattern": "m", "path": path})


def test_T20_much_output(pair):
    pair.prepare(write("f", "".join(f"hit number {i}\n" for i in range(20000))))
    text, error = pair.call("grep", {"pattern": "hit"})
    assert not error and text.endswith("[output truncated at 102400 bytes]")
    pair.call("grep", {"pattern": "hit", "path": "f"})


def test_T20_much_output_without_ripgrep(walk_pair):
    walk_pair.prepare(write("f", "".join(f"hit number {i}\n" for i in range(20000))))
    text, error = walk_pair.call("grep", {"pattern": "hit"})
    assert not error and text.endswith("[output truncated at 102400 bytes]")
    walk_pair.prepare(write("f", "😀hit\n" * 20000))
    walk_pair.call("grep", {"pattern": "hit"})


REGEX_LINES = ["abc", "aab 12", "é😀x", "\tfoo bar", "k{2}", "a-b_c", "ABC", "x\u00a0y", "\ufeffz", "a.b", "[x]", "(y)", "foofoo", "12:34",
               "\\d", "", "a^b$", "\x01\x7f", "\ud7ff", "aaa", "ß", "\u2028u"]
REGEX_ATOMS = ["a", "b", "c", ".", "*", "+", "?", "*?", "+?", "|", "(", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?<n>", ")", ")", ")", ")", "[",
               "[^", "]", "-", "^", "$", "\\b", "\\B", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\1", "\\2", "\\k<n>", "\\k", "\\x61",
               "\\u00e9", "\\u", "\\x", "\\cA", "\\c", "\\0", "\\12", "\\8", "{2}", "{1,2}", "{,2}", "{2,1}", "{", "}", "é", "😀", "foo", "x",
               "\\.", "\\n", "\\t", "\\/", "/", "\\-", "[a-c]", "[^a]", "[\\d-x]", "[]", "[^]", "[\\b]", "[\\]]", "[c-a]", "[\\w-]", "\\p{L}",
               "(?i:", "(?<", "{3,}", "1", " ", "\\"]


@pytest.mark.parametrize("seed", range(2))
def test_random_regular_expressions(walk_pair, seed):
    rng = random.Random(seed)
    walk_pair.prepare(write("t", "\n".join(REGEX_LINES) + "\n"))
    walk_pair.prepare(write("crlf", "\r\n".join(REGEX_LINES) + "\rlast"))
    walk_pair.prepare(write("bin", b"ab\xff\xfe c\n\xe9a\n\xf0\x9f\x98\n"))
    for _ in range(90):
        pattern = "".join(rng.choice(REGEX_ATOMS) for _ in range(rng.randint(1, 6)))
        ours, theirs = walk_pair.ask("grep", {"pattern": pattern})
        # Deliberate: PCRE2 wants lookbehinds of a known length; V8 does not. Ours says so instead of searching.
        if "does not support" in ours[0] and "(?<" in pattern:
            continue
        assert ours == theirs, f"{pattern!r}\nours:     {ours}\nofficial: {theirs}"


def test_deep_and_wide_trees_without_ripgrep(walk_pair):
    def make(d):
        path = d
        for i in range(45):
            path = path / "n"
            path.mkdir()
            (path / "f").write_text(f"hit {i}\n")
    walk_pair.prepare(make)
    text, _ = walk_pair.call("grep", {"pattern": "hit"})
    assert text.count("\n") == 39


# T21 and the rest


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


COMMANDS = [
    "echo a; exit_code=3; (exit $exit_code)", "printf 'no newline'", "printf '\\n\\n\\n'", "printf 'a\\n\\n b\\n\\n'", "echo -e 'a\\tb'", "ls /nonexistent",
    "nosuchcommand", "cd /nonexistent", "set -o pipefail; false | true", "set +o pipefail", "f() { echo in f; }; f", "f", "alias x=ls; x 2>&1 | head -1",
    "trap 'echo trapped' EXIT", "(exit 5)", "echo one\necho two\n", "cat <<'E'\nheredoc $x\nE", "cat <<E\n$HOME\nE", "for i in 1 2 3; do echo $i; done",
    "x=1; ((x++)); echo $x", "echo $-", "echo \"$0 $#\"", "true &", "wait", "echo a # comment", "# only a comment", "echo 'it'\"'\"'s'", "echo \\",
    "printf 'é€😀\\n'", "printf '\\xff\\xfe'", "printf 'a\\0b'", "echo {a,b}{1,2}", "echo *", "umask", "ulimit -c", "test -t 0; echo $?; test -t 1; echo $?",
    "echo $PS1$PS2$TERM", "env | grep -ci '^anthropic_'", "readlink /proc/self/fd/0", "ls /proc/self/fd | wc -l", "cat /dev/tty", "exec 3</dev/null; echo open",
    "kill -TERM $$ ; echo survived", "sleep 0.05; echo late", "echo to-stderr >&2", "(echo sub; exit 4)", "exec 2>/dev/null; nosuchthing; echo $?",
    "shopt -s nullglob; echo *.none", "type cd", "history | wc -l", "jobs", "select x in a b; do break; done", "read -t 1 x; echo $?",
    "echo \"a\n\n\nb\"", "false; true", "true; false", "! true", "[[ a == b ]]", "return 3", "echo after return", "break", "set -u; echo $UNSET", "echo still",
    "set -e; true", "set -e; false", "pwd", "exit", "echo fresh",
]


def test_many_commands(pair):
    for command in COMMANDS:
        pair.call(*bash(command, timeout_ms=4000))


def test_odd_commands(pair):
    for command in [5, True, 1.5, ["echo x"], ["echo", "x"], {"a": 1}, 0, False, [], "\x00", "echo a\x00b"]:
        pair.call("bash", {"command": command, "timeout_ms": 4000})


def test_a_long_command(pair):
    pair.call(*bash("x='" + "a" * 300_000 + "'; echo ${#x}"))
    pair.call(*bash("echo é" + " é" * 3_000 + " | wc -c"))


def test_a_shell_that_died_between_calls(pair):
    pair.call(*bash("(sleep 0.2; kill -9 $$) >/dev/null 2>&1 & echo $$ >pid"))
    for d in (pair.ours_dir, pair.theirs_dir):
        subprocess.run(["tail", "--pid", (d / "pid").read_text().strip(), "-f", "/dev/null"], timeout=20, check=True)
    pair.call("read", {"file_path": "missing"})  # both have a turn of their loops to see it
    assert pair.call(*bash("echo x")) == ("bash: bash session terminated", True)
    assert pair.call(*bash("echo x")) == ("x", False)


def test_tracing_does_not_show_the_marker(pair):
    """Deliberate: under `set -x` the official one takes the trace of its own printf for the end of the command and answers an error."""
    pair.ask(*bash("set -x"))
    ours, theirs = pair.ask(*bash("echo hi"))
    assert ours == ("+ echo hi\nhi", False)


def test_a_shell_that_exits_beside_a_background_job(pair):
    """Deliberate: the official one waits until the job lets go of the pipe, or for the timeout; ours sees the shell's end."""
    ours, theirs = pair.ask(*bash("sleep 30 & exit 3", timeout_ms=700))
    assert ours == ("bash: bash session terminated", True)
    assert theirs == ("bash: bash command timed out after 700ms", True)
