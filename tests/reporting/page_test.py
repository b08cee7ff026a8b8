"""The page of a run: one file that asks for nothing, in which names of the data are text, and whose numbers are right."""

import dataclasses
import html.parser
import json
import re
import shutil
import subprocess
import types

import numpy as np
import pandas
import pytest
from markupsafe import Markup

from tfadgm import evaluation
from tfadgm.evaluation import predictions
from tfadgm.reporting import figures, plotting, report, vector
from tfadgm.reporting.page import examples, learned, render, result, run_page, tables
from tfadgm.reporting.page.content import Content
from tfadgm.runs import build, recipes, reference, repeating, run_directory
from tfadgm.runs.report_page import write

HOSTILE = "<script>alert(1)</script>"
TINY = dict(hidden=(8,), epochs=3, density_samples=2, density_examples=20, test_samples=3)
ROWS = [dict(epoch=i, objective=-9.0 + i, unlabelled_bound=-8.0 + i, labelled_accuracy=0.3 * i) for i in (1, 2, 3)]
COSTS = dict(train_seconds=2.0, epochs=3, steps=36, steps_per_second=18.0, peak_memory_mb=900.0)
ALONE = dict(supervised_baseline_error=0.3, supervised_svm_error=0.25, labels_alone_p_value=0.3)
MEMBER = dict(weight=1 / 3, temperature=1.0, nll=0.5, nll_stderr=0.1, error=0.2)
POOL = dict(
    members=dict(model=MEMBER, network=MEMBER, logistic=MEMBER), nll=0.4, nll_stderr=0.1, error=0.1, examples=40, folds=4
)


def made(directory, model, dataset, **changes):
    """Returns the `Content` of a run that is not trained, whose page is in its directory."""
    settings = recipes.resolve(model, dataset, **TINY | changes)
    data, split = build.load_data(settings)
    built = build.make_model(settings, data, split)
    names = build.value_names(settings, data)
    run_directory.begin(settings, directory, data, split, built, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_of_labels_alone", lambda *arguments: ALONE)
        results, y, probabilities = report.evaluate(built, settings, data, split)
    results |= COSTS | (dict(selection=POOL, select_seconds=1.0) if settings.select and y is not None else {})
    drawn = {}
    figures.all_figures(directory / "figures", built, data, split, ROWS, y, probabilities, names, 1.0, drawn)
    usual = reference.measure(built, data, split)
    found = dict(
        usual=usual, names=names, results=results, rows=ROWS, y=y, probabilities=probabilities, warmup=1.0, figures=drawn
    )
    path = write(directory, settings, built, data, split, **found, warnings=[f"column {HOSTILE!r}: one value"])
    assert path == directory / "report.html"
    config = run_directory.read_json(directory / "config.json")
    return Content(built, data, split, **found, test_samples=settings.test_samples, config=config, directory=str(directory))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def digits(place):
    return made(place / "digits", "adgm", "digits", dim_z=2, dim_a=2)


@pytest.fixture(scope="module")
def table(place):
    """Of a table with every kind of column, hostile names and missing cells."""
    generator, n = np.random.default_rng(0), 200
    y = np.arange(n) % 2
    age = np.round(40 + 20 * y + 5 * generator.standard_normal(n), 1)
    frame = pandas.DataFrame(
        {
            "age": np.where(generator.random(n) < 0.1, "", age.astype(str)),
            f'"><b>{HOSTILE}': np.array(["nurse", "<i>clerk</i>"])[generator.integers(0, 2, n)],
            "smoker": np.array(["No", "Yes"])[generator.integers(0, 2, n)],
            "visits": generator.poisson(3, n),
            "since": pandas.date_range("2024-01-01", periods=n).strftime("%Y-%m-%d"),
            "label": np.array([HOSTILE, "a\u202eb & $c$"])[y],
        }
    )
    frame.to_csv(place / "people.csv", index=False)
    return made(place / "table", "m2", f"csv:{place / 'people.csv'}", dim_z=2)


@pytest.fixture(scope="module")
def density(place):
    return made(place / "density", "vae", "digits", dim_z=2, labels=0)


PAGES = ("digits", "table", "density")


class Parsed(html.parser.HTMLParser):
    """The elements of a page and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.told, self._quiet = [], [], False
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.told))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._quiet = tag == "style"

    def handle_data(self, data):
        if not self._quiet:
            self.told.append(data)


@pytest.fixture
def parsed(request, place):
    request.getfixturevalue(request.param)
    return Parsed((place / request.param / "report.html").read_text())


each_page = pytest.mark.parametrize("parsed", PAGES, indirect=True)


@each_page
def test_nothing_is_asked_for_and_nothing_is_run(parsed):
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "iframe", "object", "embed", "form") and not any(
            name.startswith("on") for name in attributes
        )
        for name in ("src", "href", "xlink:href", "srcset"):
            assert re.match(r"#|data:", attributes.get(name) or "#"), (tag, attributes)
        assert "url(" not in re.sub(r"url\(#", "", attributes.get("style") or "")
    policy = [attributes["content"] for tag, attributes in parsed.elements if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@each_page
def test_every_picture_has_an_alternative_text_and_every_id_is_one(parsed):
    assert any(tag == "svg" for tag, _ in parsed.elements)
    for tag, attributes in parsed.elements:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img" and attributes["aria-label"]
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes.get("href") or attributes.get("xlink:href") or "" for _, attributes in parsed.elements]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


@each_page
def test_no_part_failed_and_the_page_is_small(parsed, request, place):
    assert "Not shown" not in parsed.text and "Left out" not in parsed.text
    assert sum(path.stat().st_size for path in place.glob("*/report.html")) < 2_000_000


def parts(parsed):
    return [attributes["id"] for tag, attributes in parsed.elements if tag == "section"]


COMMON = ["samples", "latents", "bound", "curves", "data", "numbers", "made", "use"]
CLASSIFIED = ["answer", "warnings", "confusion", "calibration", "wrong", "uncertain"]
SHOWN = dict(
    digits=[*CLASSIFIED, "density", *COMMON],
    table=[*CLASSIFIED, "density", "samples", "columns", "imputation", *COMMON[1:]],
    density=["answer", "warnings", "density", *COMMON],
)


@pytest.mark.parametrize("parsed, name", [(name, name) for name in PAGES], indirect=["parsed"])
def test_a_page_has_the_parts_that_its_run_has(parsed, name):
    assert parts(parsed) == SHOWN[name]


@pytest.mark.parametrize("parsed", ["table"], indirect=True)
def test_names_of_the_data_are_text(parsed, place):
    assert HOSTILE in parsed.text and "<i>clerk</i>" in parsed.text
    assert "a\\u202eb & $c$" in parsed.text  # what would turn the letters around is written out
    text = (place / "table" / "report.html").read_text()
    assert "<script" not in text and "<i>" not in text and "\u202e" not in text


@pytest.mark.parametrize("parsed, name", [(name, name) for name in PAGES], indirect=["parsed"])
def test_the_page_says_how_densities_are_spread(parsed, name, request):
    content = request.getfixturevalue(name)
    x, _ = content.held_out if name != "table" else (content.data.x_train[content.split.unlabelled], None)
    assert content.usual.of == dict(digits="test", table="train", density="test")[name]
    low = np.quantile(evaluation.log_density(content.model, x[:1000], content.usual.samples), 0.05)
    assert f"{low:.1f} nats at 5%" in parsed.text.replace("\u2212", "-")


@pytest.mark.parametrize("parsed", ["digits"], indirect=True)
def test_the_answer_comes_first_and_is_that_of_the_results(parsed, digits):
    error = digits.results["test_error"]
    low, high = digits.results["test_error_interval"]
    assert parsed.text.index(f"{100 * error:.1f}%") < 600
    assert f"95% interval {100 * low:.2f}% to {100 * high:.2f}%" in parsed.text
    assert f"{round(500 * error)} of them answered wrongly" in parsed.text and "25.0%" in parsed.text
    assert "labels alone" in parsed.text


def shown(part, found):
    """The text of a part of the page."""
    return Parsed(render.environment().get_template(f"parts/{part}.html").render(**found)).text


def staff(content, wrong, **results):
    """The `Content` of 28 examples, 5 of the class 1, of which `wrong` are wrongly answered as 0."""
    y, p = np.repeat([0, 1], [23, 5]), np.tile([0.8, 0.2], (28, 1))
    p[28 - (5 - wrong) :] = [0.1, 0.9]
    found = {f"{content.part}_error": wrong / 28, f"{content.part}_error_interval": result.interval(wrong / 28, 28)}
    never = [content.data.class_names[1]] if wrong == 5 else []
    results = found | dict(most_frequent_error=5 / 28, never_answered=never) | results
    return dataclasses.replace(content, y=y, probabilities=p, results=content.results | results)


def test_a_model_that_gives_one_answer_to_all_is_no_better_and_the_page_says_so_first(table):
    text = shown("answer", result.answer(staff(table, 5)))
    told = f"No better than one answer to all: {HOSTILE}, the most frequent class, as every answer has 17.9% too."
    assert text.index(told) < 250 and "It never answers a\\u202eb & $c$." in text
    text = shown("answer", result.answer(staff(table, 3)))
    assert "No better" not in text and "never answers" not in text


@pytest.mark.parametrize(
    "wrong, p, said",
    [
        (5, 0.5, "there is no difference that 28 examples can show"),
        (5, 0.03, "It makes 29% fewer errors than the better of what the labels alone give"),
        (5, None, "On average"),
        (8, 0.3, "there is no difference that 28 examples can show"),
        (8, 0.03, "The labels alone do better than the model: support vector machine 25.00%"),
    ],
)
def test_a_difference_that_may_be_chance_is_no_praise(table, wrong, p, said):
    content = staff(table, 5, labels_alone_p_value=p, **{f"{table.part}_error": wrong / 28})
    text = shown("answer", result.answer(content))
    others = ("no difference that", "fewer errors", "do better than")
    assert said in text and sum(other in text for other in others) == sum(other in said for other in others)


def test_differences_to_the_labels_alone_are_tested_in_pairs(digits, monkeypatch):
    split = digits.split
    y = np.zeros(12, int)

    def p_value(answers, network, svm=None):
        monkeypatch.setattr(report.baseline, "class_probabilities", lambda *a, **k: np.eye(2)[network])
        monkeypatch.setattr(report.baseline, "svm_classes", lambda *a: svm)
        settings = types.SimpleNamespace(chooses=False, seed=0, average=0.0)
        found = report._of_labels_alone(None, settings, digits.data, split, None, y, np.array(answers))
        return found["labels_alone_p_value"]

    assert p_value([0] * 12, [1] * 5 + [0] * 7) == pytest.approx(2 * 0.5**5)
    assert p_value([1] * 5 + [0] * 7, [0] * 12) == pytest.approx(2 * 0.5**5)
    assert p_value([0] * 12, [1] * 12, np.array([1] * 2 + [0] * 10)) == pytest.approx(0.5)  # the better one
    assert p_value([0] * 12, [0] * 12) == 1


def test_results_tell_the_error_of_the_most_frequent_class_and_what_is_never_answered(digits):
    count = np.bincount(digits.y)
    assert digits.results["most_frequent_error"] == pytest.approx(1 - count.max() / count.sum())
    asked = set(digits.probabilities.argmax(1).tolist())
    never = [name for k, name in enumerate(digits.data.class_names) if k not in asked]
    assert digits.results["never_answered"] == never


def test_a_member_that_is_better_than_the_pool_has_a_reason_not_to_answer_alone(table):
    def said(nll):
        members = POOL["members"] | dict(network=MEMBER | dict(nll=nll))
        return shown("answer", result.answer(staff(table, 5, selection=POOL | dict(members=members))))

    assert "does not answer alone" not in said(0.41)
    assert "The same network, labels alone, has the lower NLL, 0.390, but" in said(0.39)
    assert "40 labels cannot tell them apart" in said(0.39) and "cannot tell" not in said(0.1)
    assert "the weights have a prior" in said(0.1)


def test_a_classifier_that_is_never_as_sure_as_half_has_no_table_of_sure_answers(digits):
    unsure = dataclasses.replace(digits, probabilities=np.full_like(digits.probabilities, 0.1))
    text = shown("calibration", result.calibration(unsure))
    assert "No answer is as sure as 50%: the surest is 10% sure." in text and "at least so sure" not in text


def test_an_example_is_called_by_its_row_and_said_to_be_kept_from_training(table, digits, density):
    parts = [dataclasses.replace(table, results=dict(evaluated_on=part)) for part in ("validation", "test", "train")]
    told = ["row 32, kept from training", "row 32 of the test set", "row 32 of training"]
    assert [content.example(31) for content in parts] == told
    assert digits.example(31) == "example 31 of the test set"


def test_a_latent_that_is_the_same_for_every_x_is_not_drawn(digits, monkeypatch):
    means = dict(a=np.zeros((500, 2)), z=np.random.default_rng(0).standard_normal((500, 2)))
    monkeypatch.setattr(figures, "latent_means", lambda model, raw: means)
    found = learned.latents(digits)
    assert found["same"] == ["a"] and [name for name, _, _ in found["panels"]] == ["z"]
    assert "The mean of q(a|x) is the same for every x" in shown("latents", found)
    means.pop("z")
    assert "two principal components" not in shown("latents", learned.latents(digits))


@pytest.mark.parametrize(
    "name, parts",
    [
        ("NumCompaniesWorked", ["Num", "Companies", "Worked"]),
        ("work_life__balance", ["work_", "life_", "_", "balance"]),
        ("a" * 30, ["a" * 14, "a" * 14, "aa"]),
        ("Human resources", ["Human", " resources"]),
        ("50.6", ["50.6"]),
        ("", [""]),
    ],
)
def test_a_name_breaks_at_capitals_and_underscores(name, parts):
    assert render.parts(name) == parts and "".join(parts) == name
    assert render.breakable(name) == "<wbr>".join(parts)


def test_a_name_that_may_break_is_text():
    found = render.breakable(HOSTILE + "\u202e")
    assert "<script" not in found and "\u202e" not in found and found.count("<wbr>") > 1
    assert Markup(found.replace("<wbr>", "")).unescape() == HOSTILE + "\\u202e"


def test_an_error_has_the_interval_of_clopper_and_pearson():
    np.testing.assert_allclose(result.interval(0.0, 20), [0.0, 1 - 0.025 ** (1 / 20)], atol=1e-9)


def test_the_examples_are_the_surest_wrong_and_the_least_sure(digits):
    p, y = digits.probabilities, digits.y
    shown = examples.wrong(digits)["pictures"]
    confidences = [each["answers"][0][1] for each in shown]
    assert all(not each["right"] for each in shown) and confidences == sorted(confidences, reverse=True)
    assert confidences[0] == p[p.argmax(1) != y].max()
    entropy = -(p * np.log(p)).sum(1)
    found = examples.uncertain(digits)
    assert found["entropy"] == pytest.approx(np.sort(entropy)[::-1][: len(found["pictures"])])
    number = int(found["pictures"][0]["name"].split()[1])
    assert number == entropy.argmax() and found["pictures"][0]["truth"] == str(y[number])


def test_what_speaks_for_a_class_is_what_its_probability_loses_without_the_column(table):
    shown = [each for each in examples.uncertain(table)["rows"] if each["columns"]]
    x, numbers = table.measured
    names = [column.name for column in table.data.columns]
    for each in shown[:2]:
        row = np.flatnonzero(numbers + 1 == int(each["name"].split()[1].strip(",")))
        column, _, first, other = each["columns"][0]
        without = x[row].copy()
        without[0, names.index(column)] = np.nan
        before, after = (np.log(evaluation.class_probabilities(table.model, part, 3)[0]) for part in (x[row], without))
        k = [table.answers.index(name) for name in each["between"]]
        np.testing.assert_allclose([first, other], (before - after)[k], atol=1e-5)
    assert shown


def test_cells_that_are_filled_in_are_compared_with_what_was_hidden(table, monkeypatch):
    truth = {}

    def perfect(model, x, samples):
        clean = np.tile(tables._some(table.held_out[0], tables.IMPUTED), (len(x) // len(table.held_out[0]), 1))
        hidden = np.isnan(x) & ~np.isnan(clean)
        truth["share"] = hidden.sum() / (~np.isnan(clean)).sum()
        return np.where(hidden, clean, x)

    monkeypatch.setattr(evaluation, "impute", perfect)
    found = tables.imputation(table)
    assert [row["model"] for row in found["rows"]] == [0.0] * 5 and all(row["usual"] > 0 for row in found["rows"])
    assert 0.1 < truth["share"] < 0.2 and found["times"] > 1
    usual = {column.name: np.nanmedian(table.data.x_train[:, c]) for c, column in enumerate(table.data.columns)}

    def median(model, x, samples):
        return np.where(np.isnan(x), np.array(list(usual.values()), "float32"), x)

    monkeypatch.setattr(evaluation, "impute", median)
    ratios = {row["name"]: row["ratio"] for row in tables.imputation(table)["rows"]}
    assert [ratios[name] for name in ("age", "visits", "since")] == pytest.approx([1.0] * 3)
    monkeypatch.setattr(evaluation, "impute", lambda model, x, samples: np.where(np.isnan(x), -9.0, x))
    found = tables.imputation(table)
    assert found["worse"] == len(found["rows"]) and shown("imputation", found).count(", worse") == found["worse"]


def test_a_model_that_knows_no_missing_cells_is_not_asked_about_any(table, monkeypatch):
    monkeypatch.setattr(table.model.preprocess, "hidden", 0.0)
    monkeypatch.setattr(evaluation, "impute", lambda *arguments: pytest.fail("asked"))
    assert tables.imputation(table) == dict(rows=None)
    x, _ = table.measured
    hidden, how = examples._hidden(table, x[:2])
    usual = tables.usual_values(table.data)
    assert how == "usual" and usual[0] == pytest.approx(np.nanmedian(table.data.x_train[:, 0]))
    np.testing.assert_array_equal(hidden[1, 2], np.where(np.arange(5) == 2, usual, x[1]).astype("float32"))


def test_no_bar_is_of_other_categories_where_there_are_none(table):
    job = table.data.columns[1]
    codes = np.array([0.0, 1, 1])
    assert job.kind == "category" and tables._column(job, codes, codes)["words"] == list(job.categories)
    found = tables._column(job, codes, np.array([0.0, 1, 2]))
    assert found["words"] == [*job.categories, "other"] and found["drawn"] == pytest.approx([1 / 3] * 3)


def test_rows_that_are_drawn_have_the_columns_that_fit_a_line(table, monkeypatch):
    names, drawn, more = tables.rows(table)
    assert len(names) == 5 and more == 0 and len(drawn[0][1]) == 5
    monkeypatch.setattr(tables, "LINE", 34)
    names, drawn, more = tables.rows(table)
    assert 1 <= len(names) < 5 and more == 5 - len(names) and {len(cells) for _, cells in drawn} == {len(names)}


def test_marginals_that_are_the_same_have_the_distance_0_and_disjoint_ones_1(table):
    for c, column in enumerate(table.data.columns):
        real = table.data.x_train[:, c]
        same = tables._column(column, real, real)
        assert same["distance"] == 0 and sum(same["real"]) == pytest.approx(1.0)
        assert same["missing"] == pytest.approx(np.isnan(real).mean())
    far = tables._column(table.data.columns[0], np.array([1.0, 2, 3, 4]), np.array([9.0, 9, 9, 9]))
    assert far["distance"] == 0.75  # 4 and 9 are the last bar


def test_the_command_of_the_page_makes_the_run(digits, place):
    settings = recipes.resolve("adgm", "digits", **TINY, dim_z=2, dim_a=2)
    command = repeating.command(settings, place / "digits")
    assert command in Parsed((place / "digits" / "report.html").read_text()).text


def test_a_part_that_fails_is_told_and_the_others_are_shown(density, tmp_path, monkeypatch, capsys):
    def broken(content):
        raise RuntimeError(f"cannot be {HOSTILE}\nsecond line")

    kept = [part for part in run_page.PARTS if part[0] in ("numbers", "use")]
    monkeypatch.setattr(run_page, "PARTS", [("latents", "Latents", "Latents", broken), *kept])
    run_page.write(density, tmp_path / "page.html")
    found = Parsed((tmp_path / "page.html").read_text())
    assert parts(found) == ["latents", "numbers", "use"] and f"Not shown: cannot be {HOSTILE}" in found.text
    assert capsys.readouterr().err == f"warning: report: Latents: not shown: cannot be {HOSTILE}\n"


def test_the_largest_parts_of_a_page_that_is_too_large_are_left_out(monkeypatch):
    monkeypatch.setattr(render, "LARGE", 10_000)
    monkeypatch.setattr(render, "MOST_BYTES", 100_000)
    made = dict(large=dict(lines=["a" * 90_000]), small=dict(lines=["b" * 20_000]))
    given = [("warnings", name, name, name) for name in made]
    head = dict(title="title", results=dict(labels=1, seed=0), config={}, directory="")
    text = render.page("run.html", given, made.__getitem__, **head)
    assert len(text) < 100_000 and "Left out" in text and "b" * 20_000 in text and "a" * 90 not in text


def test_a_figure_takes_the_colours_of_the_page_and_keeps_names_as_they_are():
    found = {}
    names = [HOSTILE, plotting.STRONG]
    with plotting.canvas(lambda figure: found.update(svg=vector.svg(figure, "one")), 3, 2, title="t") as ax:
        plotting.scatter(ax, np.eye(2), np.arange(2), names)
    svg = found["svg"]
    assert "currentColor" in svg and "var(--quiet)" in svg and "<metadata" not in svg and "DOCTYPE" not in svg
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in texts and plotting.STRONG in texts
    assert not re.search(r"style=\"[^\"]*" + plotting.STRONG, svg)
    assert "<image" not in svg
    with plotting.canvas(lambda figure: found.update(svg=vector.svg(figure, "one")), 3, 2, title="t") as ax:
        plotting.scatter(ax, np.random.default_rng(0).standard_normal((2000, 2)), None, [])
    assert "<image" in found["svg"] and len(found["svg"]) < 60_000


def test_predictions_module_agrees_with_the_confusion_table(digits):
    found = result.confusion(digits)
    recall = predictions.recall(digits.probabilities, digits.y)
    np.testing.assert_allclose([row["recall"] for row in found["rows"]], recall)
    assert sum(row["examples"] for row in found["rows"]) == len(digits.y)


# ------------------------------------------------------------------------------------------------- in a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update"


def opened(path, tmp_path):
    """Opens a page in a browser that reaches nothing; returns (lines of its console, what it asked for)."""
    log = tmp_path / f"{path.parent.name}.net.json"
    kept = [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    shown = ["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
    done = subprocess.run([CHROMIUM, *QUIET.split(), *kept, *shown], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "</html>" in done.stdout
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    own = [each for each in events if each.get("initiator", "not an origin") != "not an origin"]  # none of the browser's
    asked = [each["url"] for each in own if not each["url"].startswith(("data:", path.as_uri()))]
    return [line for line in done.stderr.splitlines() if ":CONSOLE" in line], asked


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_finds_no_error_and_asks_for_nothing(digits, table, density, place, tmp_path):
    (tmp_path / "control").mkdir()
    control = tmp_path / "control" / "report.html"
    control.write_text("<html><img src='http://127.0.0.1:9/x.png'><script>throw 1</script></html>")
    console, asked = opened(control, tmp_path)
    assert len(console) == 1 and asked == ["http://127.0.0.1:9/x.png"]  # what this test would see
    for name in PAGES:
        text = (place / name / "report.html").read_text()
        assert opened(place / name / "report.html", tmp_path) == ([], []), name
        unguarded = tmp_path / name
        unguarded.mkdir()
        (unguarded / "report.html").write_text(re.sub("<meta http-equiv[^>]*>", "", text))
        assert opened(unguarded / "report.html", tmp_path) == ([], []), name


MEASURE = """<iframe width="390" height="800"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument, lost = [];
  for (const each of page.querySelectorAll("table, th, td, nav li")) {
    const hidden = frame.contentWindow.getComputedStyle(each).display === "none";
    if (hidden || (each.getBoundingClientRect().right > 390 && !each.closest(".scroll, .card"))) lost.push(each);
  }
  document.body.textContent = `${page.documentElement.scrollWidth} wide, ${lost.length} lost`;
};
frame.srcdoc = %s;
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_on_a_telephone_nothing_is_cut_that_does_not_scroll(table, place, tmp_path):
    text = re.sub("<meta http-equiv[^>]*>", "", (place / "table" / "report.html").read_text())
    path = tmp_path / "framed.html"
    path.write_text(MEASURE % json.dumps(text).replace("</", "<\\/"))
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [CHROMIUM, *QUIET.split(), profile, "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    wide, lost = map(int, re.search(r"(\d+) wide, (\d+) lost", done.stdout).groups())
    assert 300 < wide <= 390 and lost == 0
