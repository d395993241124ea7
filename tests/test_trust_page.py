"""The tab "How good is it?": every figure from the file, in both languages, and nothing from elsewhere."""

import copy
import html
import json
import re
import string

import pytest

from leuk_hf.audit_findings import ABOVE_CHANCE, MOVED
from leuk_hf.audit_rows import ROWS
from leuk_hf.checkpoint_io import SHIPPED_CHECKPOINT
from leuk_hf.space import trust_sentences, words_claims, words_field_audit, words_trust, words_trust_audit
from leuk_hf.space.charts import bar, confusion_table, figure, reliability_diagram, table
from leuk_hf.space.trust import UNREADABLE, is_of_public_data, results_of
from leuk_hf.space.trust_page import trust_html
from leuk_hf.space.trust_sentences import translated
from leuk_hf.space.trust_story import stories_of

SHIPPED = json.loads((SHIPPED_CHECKPOINT / "results.json").read_text(encoding="utf-8"))
AUDITED = next(name for name in SHIPPED["audit"] if name != "baselines")
# Of the weights and settings that are shipped: figures of others would not be shown.
IDENTITY = json.loads((SHIPPED_CHECKPOINT / "export.json").read_text(encoding="utf-8"))["identity"]


def page(results, language="en"):
    return trust_html(results, model="owner/name", is_public=True, language=language)


def text_of(markup):
    return html.unescape(re.sub(r"<[^>]*>", " ", markup))


def numbers_in(text):
    return set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])", text))


def written(value):
    """Every way in which the page may write a number of the file."""
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, str):
        return numbers_in(value)
    if isinstance(value, (int, float)):
        ways = {f"{100 * value:.1f}", f"{value:.3f}", f"{value:.2f}"}
        return ways | ({str(value)} if isinstance(value, int) else set())
    items = value.items() if isinstance(value, dict) else enumerate(value)
    keys = set().union(*(numbers_in(str(key)) for key, _ in items)) if isinstance(value, dict) else set()
    return keys.union(*(written(each) for _, each in items))


@pytest.mark.parametrize("language", ["en", "fa"])
def test_every_number_comes_from_the_file(language):
    shown = numbers_in(text_of(page(SHIPPED, language)))
    by_convention = {"95", "0", "25", "50", "75", "100", f"{100 * MOVED:.1f}", "25.0"}  # level, axis, limit, chance
    counted = {str(len(story.lines)) for story in stories_of(SHIPPED["audit"][AUDITED])} | {"2", "15"}
    counted |= {str(sum("command" in entry for part in SHIPPED.values() for entry in part.values()))}  # of the sources
    in_the_source = numbers_in("https://doi.org/10.34740/KAGGLE/DSV/2175623") | {"10.34740", "2175623"}
    assert len(shown) > 150
    assert not shown - written(SHIPPED) - by_convention - counted - in_the_source


@pytest.mark.parametrize("language", ["en", "fa"])
@pytest.mark.parametrize(
    ("place", "value", "shown"),
    [
        (("protocols", "grouped", "metrics", "balanced_accuracy", "value"), 0.4567, "45.7"),
        (("protocols", "grouped", "metrics", "accuracy", "interval"), [0.1234, 0.2345], "12.3–23.4"),
        (("protocols", "grouped", "num_fields"), 98765, "98765"),
        (("protocols", "grouped", "per_class", "Pro-B", "sensitivity", "value"), 0.3217, "32.2"),
        (("protocols", "grouped", "confusion_matrix", 0, 0), 424242, "424242"),
        (("protocols", "grouped", "reliability", 0, "accuracy"), 0.1717, "17.2"),
        (("protocols", "grouped", "prediction_sets", "mean_size", "value"), 3.987, "3.987"),
        (("calibration", "grouped", "refusal", "usable", "refused"), 0.4321, "43.2"),
        (("audit", AUDITED, "rows", "grey", "changed", "value"), 0.9876, "98.8"),
        (("data", "groups", "num_exact_copies"), 54321, "54321"),
        (("speed", "cold", "command"), "python scripts/other.py", "python scripts/other.py"),
    ],
)
def test_the_page_follows_the_file(language, place, value, shown):
    changed = copy.deepcopy(SHIPPED)
    at = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    assert text_of(page(changed, language)).count(shown) > text_of(page(SHIPPED, language)).count(shown)


def test_what_was_not_measured_has_no_section():
    assert "Does it look at the leukocytes?" in page(SHIPPED)
    without = page({name: section for name, section in SHIPPED.items() if name not in ("audit", "data")})
    assert "Does it look at the leukocytes?" not in without


@pytest.mark.parametrize("language", ["en", "fa"])
def test_of_the_public_data_is_only_told_where_the_results_are_of_it(language):
    told, counted = words_trust.TEXTS[language]["trust_data_public"], str(SHIPPED["data"]["groups"]["num_groups"])
    of_public = text_of(trust_html(SHIPPED, model="owner/name", is_public=True, language=language))
    of_others = text_of(trust_html(SHIPPED, model="owner/name", language=language))
    assert told in of_public and told not in of_others
    assert words_trust.TEXTS[language]["trust_limits_words"] not in of_others
    # What was counted in the data is told of any.
    assert of_public.count(counted) == of_others.count(counted) > 0


def test_the_public_data_are_known_by_the_names_of_their_files(tmp_path):
    assert is_of_public_data(None) and not is_of_public_data(tmp_path)
    public, other = "Pre/WBC-Malignant-Pre-001.jpg", "Pre-B/smear 1.jpg"
    for names, expected in (([public], True), ([public, other], False), ([other], False), ([], False)):
        rows = "".join(f"{name},Pre-B,train\n" for name in names)
        (tmp_path / "split.csv").write_text(f"file,label,split\n{rows}", encoding="utf-8")
        assert is_of_public_data(tmp_path) == expected
    (tmp_path / "split.csv").write_bytes(b"\xff\x00")
    assert not is_of_public_data(tmp_path)


@pytest.mark.parametrize(
    ("results", "said"),
    [(None, "brings no results.json"), (UNREADABLE, "cannot be shown"), ({"audit": [1]}, "cannot be shown")],
)
def test_without_a_usable_file_the_page_says_so(results, said):
    assert said in page(results) and not numbers_in(text_of(page(results)))


def test_texts_of_the_file_are_escaped():
    hostile = json.loads(json.dumps(SHIPPED).replace("Pro-B", "<img src=x onerror=alert(1)>").replace(
        "python scripts/audit.py", "<script>"))  # fmt: skip
    for language in ("en", "fa"):
        shown = trust_html(hostile, model="<b>me</b>", language=language)
        assert "<img" not in shown and "<script" not in shown and "<b>me" not in shown
        assert "&lt;img src=x" in shown


def test_results_belong_to_the_weights(tmp_path):
    assert results_of(None, IDENTITY) == SHIPPED
    assert results_of(None, "0" * 64) is None
    assert results_of(tmp_path, IDENTITY) is None
    (tmp_path / "results.json").write_text("{]")
    assert results_of(tmp_path, IDENTITY) is UNREADABLE
    (tmp_path / "results.json").write_text("[]")
    assert results_of(tmp_path, IDENTITY) is UNREADABLE
    (tmp_path / "results.json").write_text('{"protocols": {}}')
    assert results_of(tmp_path, IDENTITY) == {"protocols": {}}


def test_stories_judge_by_the_bound_that_speaks_for_the_model():
    def row(section, balanced, changed=(0.0, 0.0, 0.0), refused=None):
        def share(low, value, high):
            return {"value": value, "interval": [low, high]}

        return {"section": section, "balanced_accuracy": share(*balanced), "changed": share(*changed),
                "refused": None if refused is None else share(*refused)}  # fmt: skip

    chance = 0.25
    rows = {
        "as it is": row("field", (0.88, 0.92, 0.95)),
        "glass only": row("shortcuts", (chance + ABOVE_CHANCE, 0.5, 0.6)),
        "leukocytes removed, inpainted": row("leukocytes", (chance + ABOVE_CHANCE + 0.01, 0.5, 0.6)),
        "top left corner only": row("shortcuts", (0.8, 0.9, 0.95), refused=(0.6, 0.7, 0.8)),
        "leukocytes only, on grey": row("leukocytes", (0.5, 0.6, 0.79)),
        "sham: equal holes off the leukocytes": row("controls", (0.5, 0.6, 0.77)),
        "grey": row("light and colour", (0.5, 0.6, 0.7), (MOVED, 0.3, 0.4)),
        "mirrored": row("geometry", (0.5, 0.6, 0.7), (MOVED + 0.01, 0.2, 0.4)),
    }
    told = {story.key: story for story in stories_of({"rows": rows, "num_fields_of_class": dict.fromkeys("abcd", 9)})}
    judged = {line.name: line.is_expected for story in told.values() for line in story.lines}
    assert judged == {
        "glass only": True, "leukocytes removed, inpainted": False, "top left corner only": True,
        "leukocytes only, on grey": True, "sham: equal holes off the leukocytes": False,
        "grey": True, "mirrored": False,
    }  # fmt: skip
    assert told["know"].mark == chance and told["know"].values["row"] == "top left corner only"
    assert told["move"].values["moved"] == 1 and told["move"].values["row"] == "grey"


@pytest.mark.parametrize("part", [words_trust, words_trust_audit, words_field_audit])
def test_words_hold_no_figure_and_both_languages_say_the_same(part):
    assert part.TEXTS["en"].keys() == part.TEXTS["fa"].keys()
    for key, text in part.TEXTS["en"].items():
        other = part.TEXTS["fa"][key]
        assert not re.search(r"\d", text + other), key
        names = [{name for _, name, _, _ in string.Formatter().parse(each) if name} for each in (text, other)]
        assert names[0] == names[1], key


def test_rows_and_sentences_have_a_translation():
    named = [row.name for row in ROWS if row.name != "as it is"]
    findings = [finding["name"] for finding in SHIPPED["audit"][AUDITED]["findings"]]
    for text in (*named, *findings):
        assert re.search(r"[\u0600-\u06ff]", translated(text, "fa")), text
        assert translated(text, "en") == text
    assert (
        translated("brightness x1.4", "fa").endswith("1.4") and translated("hue -20 degrees", "fa").count("-20") == 1
    )
    assert translated("never heard of", "fa") == "never heard of"
    translations = (*trust_sentences._PERSIAN.values(), *words_claims.SENTENCES["fa"].values())
    assert not any(re.search(r"\d", text) for text in translations)


def test_figures_and_bars():
    entry = {"value": 0.5, "interval": [0.25, 0.7512]}
    assert text_of(figure(entry)).split() == ["50.0", "%", "(25.0–75.1)"]
    assert text_of(figure(entry, is_share=False)).split() == ["0.500", "(0.250–0.751)"]
    assert figure(None) == figure({"value": None, "interval": None}) == "–"
    assert "left:25.0%;width:50.1%" in bar(entry) and "left:50.0%" in bar(entry) and "<u" not in bar(entry)
    assert '<u style="left:30.0%">' in bar({"value": 1.2, "interval": None}, 0.3)
    assert "left:100.0%" in bar({"value": 1.2, "interval": None})


def test_tables_and_diagram():
    assert '<th scope="row">&lt;b&gt;</th><td>1</td>' in table(["a", "b"], [["<b>", "1"]])
    matrix = confusion_table([[3, 1], [0, 0]], ["x", "y"], true="t", said="s", caption="c")
    assert re.findall(r"accent\) (\d+)%", matrix) == ["34", "11", "0", "0"]
    bins = [{"num_fields": 10, "confidence": 0.5, "accuracy": 1.0}]
    drawn = reliability_diagram(bins, label="<l>", across="a", up="u")
    assert '<circle cx="174.0" cy="14.0" r="4"/>' in drawn and 'aria-label="&lt;l&gt;"' in drawn


def test_figures_of_other_weights_are_left_out(tmp_path):
    content = {"audit": {"own": {"identity": "a"}, "other": {"identity": "b"}, "odd": {"identity": ["a"]}}, "data": {}}
    (tmp_path / "results.json").write_text(json.dumps(content), encoding="utf-8")
    assert results_of(tmp_path, "a") == {"audit": {"own": {"identity": "a"}}, "data": {}}
    assert results_of(tmp_path, "c") is None


def test_recipes_say_of_how_many_epochs_they_are_and_names_are_no_markdown():
    page = trust_html(SHIPPED, model="owner/name", is_public=True)
    epochs = {
        recipe["changes"]["num_epochs"]
        for entry in SHIPPED["protocols"].values()
        for recipe in entry.get("recipes", {}).values()
    }
    assert epochs and all(f'<th scope="col">default, {number} epochs</th>' in page for number in epochs)
    assert "protocol <code>reference</code>" in page and "`" not in page


def test_refused_images_are_named_by_what_they_show():
    ((name, entry),) = SHIPPED["calibration"].items()
    refusal = {"usable": entry["refusal"]["usable"]}
    refusal |= {folder: {"refused": 0.96, "num_images": 5, "auroc": 0.99} for folder in ("ood/bccd", "my/x<y")}
    results = {"calibration": {name: {**entry, "refusal": refusal}}}
    english, persian = (trust_html(results, model="m", language=language) for language in ("en", "fa"))
    assert '<th scope="row">Blood smears of another laboratory</th>' in english
    assert '<th scope="row">bccd</th>' not in english + persian
    assert '<th scope="row">x&lt;y</th>' in english and '<th scope="row">x&lt;y</th>' in persian


def test_figures_of_the_checkpoint_come_before_those_of_recipes():
    own, compared = (
        {name: entry for name, entry in SHIPPED["protocols"].items() if ("recipes" in entry) == is_compared}
        for is_compared in (False, True)
    )
    assert own and compared
    page = trust_html({**SHIPPED, "protocols": {**compared, **own}}, model="owner/name", is_public=True)
    first = page.index(words_trust.TEXTS["en"]["trust_figure"].split("{")[0])
    assert first < page.index(words_trust.TEXTS["en"]["trust_recipes"])
    # Of a comparison one row stands open; the rest is folded, so that the page stays short on a phone.
    folded = page.count(f"<summary>{words_trust.TEXTS['en']['trust_other_figures']}</summary>")
    assert folded == len(compared)
    opened = re.sub(r"<details>.*?</details>", "", page)
    for content in (entry["recipes"] for entry in compared.values()):
        for recipe in content.values():
            assert figure(recipe["metrics"]["balanced_accuracy"]) in opened
    assert opened.count(words_trust.TEXTS["en"]["trust_session_words"]) == 0


def test_sessions_that_were_left_out_are_shown_first_and_one_by_one():
    def row(name, trained, mean):
        recipes = {"default": {"mean": mean, "values": [mean]}}
        return {"session": name, "class": "Pre-B", "num_fields": 70, "num_trained": trained, "recipes": recipes}

    def entry(protocol, share, accuracy, rows, without=()):
        summary = {
            "metrics": {"balanced_accuracy": {"value": accuracy, "interval": None}},
            "per_class": {"Pre-B": {}}, "class_names": ["Pre-B"], "num_fields": 140,
        }  # fmt: skip
        sessions = {"num_left_out": round(140 * share), "share_left_out": share, "rows": rows}
        return {"protocol": protocol, "part": "test", "without": list(without), "recipes": {"default": summary}} | (
            {} if without else {"sessions": sessions}
        )

    results = {
        "protocols": {
            "a": entry("reference", 0.5, 0.76, [row("known", 30, 1.0), row("new", 0, 0.0)]),
            "b": entry("acquisition", 1.0, 0.46, [row("other", 0, 0.125)]),
            "c": entry("acquisition", 1.0, 0.35, [], without=("Pro-B",)),
        }
    }
    markup = page(results)
    shown = " ".join(text_of(markup).split())
    # Of the protocols the one that leaves out most.
    assert "46.0 % right where 100.0 % of the test fields are of sessions at the microscope" in shown
    assert shown.count("were wholly left out: networks of the recipe default") == 1
    assert shown.count("session by session") == 2 and "Fields of Pro-B are left out here." in shown
    assert "new Pre-B 70 0 0.0 %" in shown and "other Pre-B 70 0 12.5 %" in shown
    assert "46.0" in text_of(page(results, "fa"))
