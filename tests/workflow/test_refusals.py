"""Mistakes in rules and scripts that would make a stale stage look done are refused, each in a sentence."""

import pytest

from tests.workflow.scenarios import rows

REPORT, EXTRACT = "rules/report.smk", "rules/extract.smk"
PICTURE, SCRIPT = "results/tiny/figures/workflow.svg", "workflow_scripts/plot_workflow.py"
INSIDE = "with job(snakemake) as j:\n"

IN_RULES = {
    "no receipt": (
        "rule plot_shift: a rule with outputs needs an output named receipt, and script",
        lambda r: r.edit(REPORT, '        receipt="results/{run}/receipts/plot_shift.json",\n', ""),
    ),
    "no script": (
        "rule copied: a rule with outputs needs an output named receipt, and script",
        lambda r: r.append(
            REPORT, '\n\nrule copied:\n    output:\n        receipt="results/copied.json",\n    shell:\n        "touch {output}"\n'
        ),
    ),
    "a source file that is not ancient()": (
        "explorer.html.j2 is no rule's output; wrap it in ancient()",
        lambda r: r.edit(REPORT, "[ancient(str(path)) for", "[str(path) for"),
    ),
    "an artifact that is ancient()": (
        "rule render_report: its input results/tiny/tables/versions.json is an artifact; take ancient() off",
        lambda r: r.edit(REPORT, '"results/{run}/tables/versions.json"', 'ancient("results/{run}/tables/versions.json")'),
    ),
    "a stale stage without its source file": (
        "report.html.j2 is not there; restore it",
        lambda r: r.remove("workflow_scripts/core/results/pages/templates/report.html.j2"),
    ),
    "no caption": (
        "rules/report/figures/shift.rst is missing; say there in one or two plain sentences what it shows",
        lambda r: r.remove("rules/report/figures/shift.rst"),
    ),
    "a script that nobody has written": (
        "rule summarize_odd: its script workflow_scripts/summarize_odd.py is missing; write it, or correct the name in the rule",
        lambda r: (
            r.edit(
                "rules/summarize.smk",
                '    "secret_types": (OF_ROWS, [LEVEL], {}),\n',
                '    "secret_types": (OF_ROWS, [LEVEL], {}),\n    "odd": (OF_ROWS, [LEVEL], {}),\n',
            ),
            r.write("rules/report/tables/odd.rst", "What nobody has summarized yet.\n"),
        ),
    ),
    "a key that the config lacks": (
        "KeyError: 'props'",
        lambda r: r.edit(EXTRACT, 'config_params("probes.parity_items", "probes.threads"),', 'config_params("props"),'),
    ),
}


@pytest.mark.parametrize(("sentence", "change"), rows(IN_RULES, always=5))
def test_rule(repository, sentence, change):
    change(repository)
    run = repository.run("--dry-run")
    assert run.status != 0 and run.jobs == set()
    assert len([line for line in run.said.splitlines() if sentence in line]) == 1, run.said


IN_SCRIPTS = {
    "config that the rule did not declare": ("KeyError: 'report.confidence'", 'j.config["report.confidence"]'),
    "the whole config": ("KeyError: 'report'", 'snakemake.config["report"]'),
    "an output under its final name": (
        "did not write its output svg",
        'j.output.svg = str(snakemake.output.svg).replace("svg", "SVG.svg")',
    ),
}


@pytest.mark.parametrize(("sentence", "line"), rows(IN_SCRIPTS, always=1))
def test_script(repository, sentence, line):
    before = repository.products()
    repository.edit(SCRIPT, INSIDE, f"{INSIDE}    {line}\n")
    run = repository.run(PICTURE)
    assert run.status != 0 and len(run.sentences) == 1, run.said
    assert run.sentences[0].startswith("canaryflow: plot_workflow-tiny: ") and sentence in run.sentences[0]
    assert repository.products() == before and "plot_workflow" in repository.plan(PICTURE)
    repository.git("checkout", "--quiet", "workflow_scripts")
    assert repository.execute() == set(), "what the failed stage had made before still stands"


def test_profile_that_lets_snakemake_judge_too(repository):
    """Its own triggers compare with what it remembers of this folder, and would run what is up to date."""
    before = repository.receipts()
    repository.append(SCRIPT)
    run = repository.run("--rerun-triggers", "mtime", "code", "input")
    assert run.status != 0 and run.sentences == [
        "canaryflow: the profile in force does not say `rerun-triggers: [mtime]`; copy the lines of profiles/default into it"
    ]
    assert repository.receipts() == before


def test_additions_that_a_base_does_not_take_are_refused_before_any_job_also_when_it_is_made(repository):
    adapted = {"method": "sft", "parent": "base", "lora": {"r": 2, "alpha": 4, "target": ["bogus"]}}
    run = repository.run("--dry-run", overlay={"policies": {"adapted": adapted}})
    assert run.status != 0 and run.jobs == set()
    assert "policies.adapted.lora.target: LlamaForCausalLM has no linear layer 'bogus'; choose among q_proj" in run.said
