"""The toolset answers as the official one does: text and is_error byte for byte, the files it leaves too.

bash: T1 to T11 of the conformance cases, and further vectors of the same kind. Where ours differs on purpose (docs/internals/tools.md
lists every case), the test says what each of the two answers."""

import subprocess

from peers.toolsets import bash, pair, write  # noqa: F401 (pair is a fixture)


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
    pair.call(*bash("kill %1 2>&1; wait; echo done"))


def test_T11_unfinished_commands(pair):
    assert pair.call(*bash('echo "unterminated', timeout_ms=500))[1]
    text, error = pair.call(*bash("if", timeout_ms=3000))
    assert error and "terminated" in text
    pair.call(*bash("echo $(", timeout_ms=500))
    pair.call(*bash("cat <<X\nno end", timeout_ms=500))
    pair.call(*bash("echo )"))
    pair.call(*bash("}"))
    pair.call(*bash("echo ok"))


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
