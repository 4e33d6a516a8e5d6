"""The command line keeps its manners: help and completion come from the tables, errors take at most three lines and say what
to type next, exit codes are the documented ones, colour stays off a pipe."""
import json
import re
import subprocess

import pytest

from harness import BIN, environment, on_terminal

pytestmark = pytest.mark.hostile


def lines(text):
    return text.rstrip("\n").split("\n")


def commands(sallyport):
    out = sallyport("help", check=True).stdout
    return [line[2:].split("  ")[0] for line in out.splitlines() if line.startswith("  ")]


def test_help_lists_every_command_and_each_has_its_own(sallyport):
    names = commands(sallyport)
    assert "version" in names and "help" in names
    for name in names:
        own = sallyport(*name.split(), "--help")
        assert own.returncode == 0 and own.stdout.startswith(f"usage: sallyport {name} ") and own.stderr == ""
        assert sallyport("help", *name.split()).stdout == own.stdout
        assert "--json" in own.stdout and "--config FILE" in own.stdout


def test_nothing_typed_is_misuse_and_shows_the_list(sallyport):
    done = sallyport()
    assert done.returncode == 2 and done.stdout == ""
    assert "COMMAND --help" in done.stderr


@pytest.mark.parametrize("typed,expected", [
    (["versoin"], "did you mean 'sallyport version'?"),
    (["version", "--jsno"], "did you mean --json?"),
    (["version", "--color=mauve"], "type auto, always or never"),
    (["version", "more"], "type: sallyport version"),
    (["completion", "csh"], "type bash, zsh or fish"),
    (["--config"], "--config needs a value"),
    (["x" * 5000], "lists them all"),
    (["\x1b[31mred"], "lists them all"),
    (["version", "--\xff\x01"], "see 'sallyport version --help'"),
])
def test_misuse_exits_2_in_at_most_three_lines(sallyport, typed, expected):
    done = sallyport(*typed)
    assert done.returncode == 2 and done.stdout == ""
    assert expected in done.stderr
    assert len(lines(done.stderr)) <= 3
    assert "\x1b" not in done.stderr


def test_a_missing_configuration_says_what_to_type(sallyport, workdir):
    for name in commands(sallyport):
        if name.split()[0] not in ("up", "ps"):
            continue
        done = sallyport(*name.split(), "--config", workdir / "none.yaml")
        assert done.returncode != 0 and len(lines(done.stderr)) <= 3
        assert "none.yaml" in done.stderr


def test_color_is_for_terminals_only(sallyport):
    def shown(**env):
        return on_terminal([BIN, "versoin"], env=env)[0]

    assert "\x1b[" in shown()
    assert "\x1b[" not in shown(NO_COLOR="1")
    assert "\x1b[" in shown(NO_COLOR="")
    assert "\x1b[" not in sallyport("versoin").stderr
    assert "\x1b[" not in sallyport("version").stdout


def test_an_answer_that_can_not_be_written_fails(sallyport):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN, "version"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert done.returncode == 1
    assert "can't write the answer: No space left on device" in done.stderr


def test_closed_standard_descriptors_are_filled(sallyport):
    done = subprocess.run(["/bin/sh", "-c", f"exec '{BIN}' version >&- 2>&- <&-"], env=environment())
    assert done.returncode in (0, 1)


def test_bash_completion_knows_commands_and_options(sallyport):
    script = sallyport("completion", "bash", check=True).stdout

    def complete(*words):
        bash = f"""{script}
COMP_WORDS=(sallyport {' '.join(repr(w) for w in words)})
COMP_CWORD={len(words)}
_sallyport
printf '%s\\n' "${{COMPREPLY[@]}}" """
        return subprocess.run(["bash", "-c", bash], capture_output=True, text=True, check=True).stdout.split()

    first = complete("")
    assert {"help", "version", "completion"} <= set(first)
    assert complete("vers") == ["version"]
    assert complete("help", "--m") == ["--man"]
    for name in commands(sallyport):
        words = name.split()
        assert words[-1] in complete(*words)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_every_command(sallyport, shell):
    script = sallyport("completion", shell, check=True).stdout
    for name in commands(sallyport):
        for word in name.split():
            assert word in script


def test_the_manual_says_what_help_says(sallyport):
    """Each command's section has the options of its --help, and those that every command has are in one of their own."""
    manual = sallyport("help", "--man", check=True).stdout.replace("\\-", "-").replace("\\fI", "").replace("\\fR", "")
    sections = {title: re.findall(r"^\.B (--\S+)", text, re.M)
                for title, text in re.findall(r'^\.S[SH] "?([^"\n]+)"?\n(.*?)(?=^\.S[SH] |\Z)', manual, re.M | re.S)}
    names = commands(sallyport)
    assert len([title for title in sections if title.startswith("sallyport ")]) == len(names)
    for name in names:
        synopsis = sallyport(*name.split(), "--help").stdout
        title = re.match(r"usage: (.*)\n", synopsis)[1].replace(" [OPTIONS]", "")
        assert re.findall(r"^  (--\S+)", synopsis, re.M) == sections[title] + sections["OPTIONS"], name


def test_version_in_json(sallyport):
    assert json.loads(sallyport("version", "--json", check=True).stdout)["version"]
