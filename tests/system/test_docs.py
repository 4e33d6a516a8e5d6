"""The documentation says what is there: links lead somewhere, commands and options exist, every configuration key is described,
and the example in docs/configuration.md is one that is accepted."""
import re

import pytest

from harness import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])


def keys_in_source():
    text = (ROOT / "src/base/config.c").read_text()
    names = set()
    for found in re.findall(r"\bkeys\[\] = \{(.*?)\}", text, re.S):
        names |= set(re.findall(r'"(\w+)"', found))
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_options_exist(sallyport, page):
    for line in re.findall(r"^\s*(?:sudo )?(?:build/release/)?sallyport ([a-z].*)$|`sallyport ([a-z][^`]*)`", page.read_text(), re.M):
        typed = (line[0] or line[1]).split("#")[0].split(" --config")[0].replace("…", "").split()
        words = []
        for word in typed:
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                break
            words.append(word)
        shown = sallyport(*words, "--help")
        assert shown.returncode == 0, f"{page.name}: sallyport {' '.join(typed)}\n{shown.stderr}"
        for option in [w.split("=")[0].strip("[]") for w in typed if w.startswith(("--", "[--")) and w != "--"]:
            assert f"{option} " in shown.stdout, f"{page.name}: sallyport {' '.join(words)} has no {option}"


CLAIM = """
version: 1
scenes:
  - when: { user: { contains: "claim 4711" } }
    steps:
      - say: [{ tool: get_claim, input: { id: "4711" } }, { tool: bash, input: { command: "echo $((18400 * 9 / 10))" } }]
      - say: [{ text: "The reserve is EUR 16560." }]
"""


def test_the_example_application_runs(instance):
    page = (ROOT / "docs/application.md").read_text()
    instance.start_all(CLAIM, worker=True)
    example = re.search(r"```js\n(.*?)```", page, re.S)[1]
    done = instance.node(example)
    assert done.returncode == 0 and done.stdout == "The reserve is EUR 16560.\n", done.stdout
    done = instance.node(example.replace("{ type: 'agent_toolset_20260401' }",
                                         "{ type: 'agent_toolset_20260401', default_config: { permission_policy: { type: 'always_ask' } } }"))
    assert done.returncode == 0 and done.stdout == "The reserve is EUR 16560.\n", done.stdout


def test_the_index_names_every_page():
    index = (ROOT / "docs/README.md").read_text()
    for page in ROOT.glob("docs/*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_every_configuration_key_is_described():
    text = (ROOT / "docs/configuration.md").read_text()
    for key in keys_in_source():
        assert f"`{key}`" in text or re.search(rf"^## {key}$", text, re.M), key


def test_the_example_configuration_is_accepted(sallyport, workdir):
    text = (ROOT / "docs/configuration.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", text, re.S)[1]
    path = workdir / "sallyport.yaml"
    path.write_text(example.replace("/var/lib/sallyport", str(workdir / "data")))
    # It is read before anything else; that nothing runs there is then the error.
    done = sallyport("ps", "--config", path)
    assert "sallyport.yaml:" not in done.stderr, done.stderr
    path.write_text(example.replace("listen:", "lisen:"))
    done = sallyport("ps", "--config", path)
    assert done.returncode != 0 and "sallyport.yaml:6:" in done.stderr and "listen" in done.stderr
