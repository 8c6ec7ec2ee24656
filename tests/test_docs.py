from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import typer.main
import yaml

from kot_platypus import records
from kot_platypus.checks.segments import Text
from kot_platypus.cli import app
from kot_platypus.data.dataset_recipe import DatasetRecipe, load_dataset_recipe
from kot_platypus.data.translation.services import Translator
from kot_platypus.evaluate.protocols import list_protocols, load_protocol
from kot_platypus.formats import read_rows
from kot_platypus.prompts import load_templates
from kot_platypus.recipe import Recipe, list_recipes, load_recipe
from kot_platypus.recipe_files import RECIPES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = DOCS / "generated"
TRAINING_PAGE = DOCS / "training.md"
PROTOCOLS_PAGE = DOCS / "protocols.md"
TUTORIAL_PAGE = DOCS / "tutorial" / "own-rows.md"
DATASET_PAGE = DOCS / "tutorial" / "dataset.md"
SITE_PAGES = sorted(
    page
    for page in DOCS.rglob("*.md")
    if GENERATED not in page.parents and page != DOCS / "index.md"  # generated as well
)
PAGES = [*sorted(ROOT.glob("*.md")), *SITE_PAGES]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
LAUNCHED = re.compile(r"^(?:(?:\.venv/bin/)?kot|(?:torchrun|accelerate) .*-m kot_platypus) (.*)$")


def load_script(name: str) -> ModuleType:
    """A program of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = load_script("generate")
CHECK_SITE = load_script("check_site")
GROUP = typer.main.get_command(app)
COMMANDS = {words[1:]: command for words, command in GENERATE.iter_commands(GROUP, ("kot",))}


def find_commands(page: Path) -> list[list[str]]:
    """The arguments of every command of ours in a page's code blocks, as a shell would split."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [match[1] for line in lines if (match := LAUNCHED.match(line))]
    return [split_command(text) for text in found]


def split_command(text: str) -> list[str]:
    return shlex.split(text.partition(" > ")[0], comments=True)


def find_mentions(page: Path) -> list[list[str]]:
    """The words after ``kot`` of every command named within a sentence."""
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [text.split() for text in re.findall(r"`(?:\.venv/bin/)?kot ([^`]+)`", prose)]


def parse_command(verb: str, *arguments: str) -> None:
    """Raise what a terminal would print when a command cannot be typed so."""
    command = GROUP.commands[verb]
    if verb == "data":
        verb, *arguments = arguments
        command = command.commands[verb]
    context = command.make_context(verb, list(arguments))
    recipe = context.params.get("recipe")
    if recipe in list_recipes():
        load_recipe(recipe, context.params.get("overrides") or ())


def name_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("name", list_protocols())
def test_page_shows_every_prompt_as_it_is(name):
    page = PROTOCOLS_PAGE.read_text(encoding="utf-8")
    contexts = [
        prompt.context.replace("\n", "\\n") for prompt in load_protocol(name).tasks.values()
    ]
    assert [context for context in contexts if f'`"{context}"`' not in page] == []


@pytest.mark.parametrize("name", load_templates())
def test_page_names_every_template(name):
    assert f"| `{name}` |" in TRAINING_PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_commands_of_a_page_can_be_typed(page):
    for arguments in find_commands(page):
        parse_command(*arguments)


def test_commands_of_the_help_can_be_typed():
    examples = [line for command in COMMANDS.values() for line in GENERATE.list_examples(command)]
    assert len(examples) >= len(GROUP.commands)
    for line in examples:
        assert line.startswith("kot ")
        parse_command(*split_command(line.removeprefix("kot ")))


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_commands_named_in_a_sentence_exist(page):
    unknown = [" ".join(words) for words in find_mentions(page) if not exists(words)]
    assert unknown == []


def exists(words: list[str]) -> bool:
    """Whether a verb and its options do; capitals stand for any, and a recipe for its build."""
    if words[0].isupper():
        return True
    if words[0].startswith("--"):
        return words[0] in {name for each in GROUP.params for name in each.opts}
    command = COMMANDS.get((words[0],))
    if hasattr(command, "commands") and len(words) > 1 and not words[1].isupper():
        command = COMMANDS.get(tuple(words[:2]))
    if command is None:
        return False
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return options <= known | {"--help"}


def test_every_verb_of_the_tutorial_is_found():
    verbs = {verb for verb, *_ in find_commands(TUTORIAL_PAGE)}
    assert verbs == {"data", "train", "merge", "chat", "eval", "compare", "recipes"}


def test_rows_of_the_tutorial_are_those_of_its_file():
    path = TUTORIAL_PAGE.parent / "mine.jsonl"
    (block,) = re.findall(r"```json\n(.*?)```", TUTORIAL_PAGE.read_text(encoding="utf-8"), re.S)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row for row in map(json.loads, block.splitlines()) if row not in rows] == []
    assert len(read_rows(path)) == len({row["source"] for row in rows}) == 24
    assert all(row["source"] and row["rationale"] and row["target"] for row in rows)


def test_places_in_contributing_exist():
    package = ROOT / "src" / "kot_platypus"
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| where is |")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    places = re.findall(r"`([\w/*]+\.(?:py|yaml))`(?: \(`(\w+)`\))?", "\n".join(rows))
    assert len(places) >= len(rows)
    for path, function in places:
        (file, *_) = package.glob(path)
        assert f"def {function}" in file.read_text(encoding="utf-8") or not function, path


def test_page_on_extending_is_true():
    """The files it names exist, and its whole programs run."""
    page = (DOCS / "extending.md").read_text(encoding="utf-8")
    table = page.partition("| [a task]")[2].partition("## ")[0]
    named = re.findall(r"`([\w/]+\.(?:py|yaml|jinja)|[\w/]+/[\w/]+)`", table)
    assert [name for name in named if not (ROOT / "src/kot_platypus" / name).exists()] == []
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        if re.match(r"from|import", block):
            exec(block, names)
    (finding,) = names["find_lost_question"](Text("Is it?"), Text("그렇다."))
    assert finding.check == "lost_question"
    members = {name for name in vars(Translator) if not name.startswith("_")}
    assert members <= set(dir(names["Glossary"])) | {"parameters"}  # which its __init__ sets


def test_recipe_of_the_data_set_tutorial_is_its_file():
    page = DATASET_PAGE.read_text(encoding="utf-8")
    path = DATASET_PAGE.parent / "my-kocot.yaml"
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    assert block == path.read_text(encoding="utf-8")
    assert load_dataset_recipe(str(path)).sources[0].file == "english.jsonl"
    rows = (path.parent / "english.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 8
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.S)
    assert set(shown.splitlines()) <= set(rows)


# --- the site ----------------------------------------------------------------------------------


def list_nav(nav: list[object]) -> list[str]:
    """The pages in mkdocs.yml's tree."""
    values = [value for entry in nav for value in entry.values()]
    return [
        page
        for value in values
        for page in (list_nav(value) if isinstance(value, list) else [value])
    ]


def test_every_page_is_in_the_navigation():
    nav = list_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    decisions = GENERATE.render_decisions()
    pages = {page.relative_to(DOCS).as_posix() for page in SITE_PAGES}
    listed = {page for page in pages if f"(../{page})" in decisions}
    assert listed == {page for page in pages if page.startswith("decisions/")}
    made = {(GENERATED / name).resolve().relative_to(DOCS).as_posix() for name in PRODUCED}
    assert sorted(nav) == sorted(pages - listed | made)


PRODUCED = GENERATE.render_pages()


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_links_of_a_page_lead_to_files(page):
    """As they stand in the repository, where nothing is built."""
    links = LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    paths = [link.partition("#")[0] for link in links if ":" not in link and link[0] != "#"]
    targets = [(page.parent / path).resolve() for path in paths]
    made = {(GENERATED / name).resolve() for name in PRODUCED}
    assert [str(path) for path in targets if not path.exists() and path not in made] == []


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_anchors_of_a_page_lead_to_headings(page):
    """Those in pages that stand in the repository; `make docs` looks at the generated ones."""
    links = LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    split = [link.partition("#") for link in links if "#" in link and ":" not in link]
    targets = [(page.parent / path if path else page, anchor) for path, _, anchor in split]
    written = [(path, anchor) for path, anchor in targets if path.suffix == ".md" and path.exists()]
    assert [(path, anchor) for path, anchor in written if anchor not in list_anchors(path)] == []


def list_anchors(page: Path) -> list[str]:
    """The anchors that the headings of a page get."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.M)
    return [re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", line.lower())) for line in headings]


def test_reference_has_every_command_with_its_options():
    page = PRODUCED["commands.md"]
    for words, command in COMMANDS.items():
        section = page.partition(f" kot {' '.join(words)}\n")[2].partition("\n#")[0]
        options = [option for each in command.params for option in each.opts if option[0] == "-"]
        assert [option for option in options if f"`{option}" not in section] == [], words


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_reference_has_every_recipe_word_for_word(path):
    is_recipe = path.parent.name != "offline"
    assert (path.read_text(encoding="utf-8") in PRODUCED["recipes.md"]) == is_recipe


def test_reference_has_every_key_of_a_recipe():
    page = PRODUCED["settings.md"]
    train = page.partition("### train\n")[2].partition("###")[0]
    row = "| `batch_size` | whole number, ≥ 1 | `64` | Examples per optimizer step. |"
    assert row in train
    assert set(re.findall(r"^\| `(\w+)`", train, re.M)) == set(
        Recipe.model_fields["train"].annotation.model_fields
    )
    assert all(f"| `{name}` |" in page for name in DatasetRecipe.model_fields)


def test_reference_has_every_kind_of_row():
    kinds = {each.__name__ for each in vars(records).values() if is_row(each)}
    assert set(re.findall(r"^## (\w+)", PRODUCED["rows.md"], re.M)) == kinds


def is_row(value: object) -> bool:
    is_record = isinstance(value, type) and issubclass(value, records.Record)
    return is_record and value is not records.Record


def test_copied_page_keeps_its_links():
    korean = PRODUCED["ko.md"]
    assert "](../benchmarks.md#training-hf-trainer-and-trl)" in korean
    assert "](../images/report.png)" in korean
    assert "[Apache-2.0]" not in korean  # the licence is no page
    assert "Apache-2.0" in korean


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="b.html#there">', None),
        ('<a href="b.html#gone">', "leads nowhere: b.html#gone"),
        ('<a href="c.html">', "leads nowhere: c.html"),
        ('<img src="c.png">', "leads nowhere: c.png"),
        ('<a href="https://example.org/">', None),
        ('<script src="https://example.org/x.js">', "loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loads //example.org/x.css"),
    ],
)
def test_site_is_checked(tmp_path, body, problem):
    (tmp_path / "a.html").write_text(body, encoding="utf-8")
    (tmp_path / "b.html").write_text('<h2 id="there">', encoding="utf-8")
    expected = [f"{tmp_path / 'a.html'}: {problem}"] if problem else []
    assert CHECK_SITE.find_problems(tmp_path) == expected
