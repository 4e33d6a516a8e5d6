"""Ours and the official toolset side by side: the same calls in two directories that are alike, the answers compared byte for byte,
and what is left on disk too. The official answers are made anew in every run."""

import hashlib
import json
import os
import pathlib
import stat
import subprocess

import pytest

import harness
from peers.tools_channel import Tools

PROGRAM = str(pathlib.Path(harness.BIN).parent / "src/tools/sallyport-tools")
DRIVER = pathlib.Path(__file__).with_name("toolset.mjs")


def well_formed(text):
    """A string with lone surrogates can't be sent as UTF-8; they become U+FFFD on the way."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Official:
    def __init__(self, workdir, env=None, user=None):
        self.proc = subprocess.Popen([str(harness.NODE), str(DRIVER), str(harness.PEERS / "sdk-1.12.0"), str(workdir)], env=env,
                                     user=user, group=user, extra_groups=[] if user else None,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def call(self, name, tool_input):
        self.proc.stdin.write(json.dumps({"name": name, "input": tool_input}) + "\n")
        self.proc.stdin.flush()
        line = self.proc.stdout.readline()
        assert line, f"the official toolset ended at {name} {tool_input!r}"
        answer = json.loads(line)
        return well_formed(answer["text"]), answer["is_error"]

    def close(self):
        self.proc.stdin.close()
        self.proc.wait(20)
        self.proc.stdout.close()


class Pair:
    """`call` asks both and requires the same answer; `prepare` does the same to both directories."""

    def __init__(self, base, env=None, user=None):
        base = pathlib.Path(os.path.realpath(base))
        self.env = dict(harness.environment(), **(env or {}))
        self.ours_dir, self.theirs_dir = base / "w-1", base / "w-2"
        for d in (self.ours_dir, self.theirs_dir):
            d.mkdir()
            if user is not None:
                os.chown(d, user, user)
        if user is not None:
            base.chmod(0o755)
        self.ours = Tools(PROGRAM, self.ours_dir, env=self.env, user=user)
        self.theirs = Official(self.theirs_dir, env=self.env, user=user)
        self.asked = 0

    def prepare(self, function):
        function(self.ours_dir)
        function(self.theirs_dir)

    def ask(self, name, tool_input):
        """Both answers, ours first; a "W" stands for either directory."""
        def place(value, d):
            if isinstance(value, str):
                return value.replace("@W@", str(d))
            if isinstance(value, dict):
                return {k: place(v, d) for k, v in value.items()}
            return value

        ours = self.ours.call(name, place(tool_input, self.ours_dir))
        theirs = self.theirs.call(name, place(tool_input, self.theirs_dir))
        self.asked += 1
        return ((ours[0].replace(str(self.ours_dir), "@W@"), ours[1]), (theirs[0].replace(str(self.theirs_dir), "@W@"), theirs[1]))

    def call(self, name, tool_input, lines=False):
        """The common answer. With `lines` their order is left open (ripgrep searches in parallel)."""
        ours, theirs = self.ask(name, tool_input)
        if lines:
            ours, theirs = (sorted(ours[0].split("\n")), ours[1]), (sorted(theirs[0].split("\n")), theirs[1])
        assert ours == theirs, f"{name} {json.dumps(tool_input)[:300]}\nours:     {ours!r:.2000}\nofficial: {theirs!r:.2000}"
        return ours

    def same_tree(self):
        ours, theirs = tree(self.ours_dir), tree(self.theirs_dir)
        assert ours == theirs, f"ours:     {ours}\nofficial: {theirs}"

    def close(self):
        self.ours.close()
        self.theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def tree(top):
    """Every name below, with kind, permissions and content."""
    found = {}
    for path, dirs, files in os.walk(top):
        for name in dirs + files:
            full = os.path.join(path, name)
            st = os.lstat(full)
            what = os.readlink(full) if stat.S_ISLNK(st.st_mode) else None
            if stat.S_ISREG(st.st_mode) and os.access(full, os.R_OK):
                what = hashlib.sha256(pathlib.Path(full).read_bytes()).hexdigest()[:12]
            found[os.path.relpath(full, top)] = (oct(st.st_mode), what)
    return found


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
    """What `prepare` needs to make a file; `mtime` is in nanoseconds."""
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
