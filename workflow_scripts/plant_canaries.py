"""The canaries of a run, generated or from the user's file, with their doses and halves, as token ids; and what was made of the file."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import canaries, natural, planting, schemas, secrets, tokenizer
from workflow_scripts.core.data.tasks import TASKS
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, context = tokenizer.load(j.input.tokenizer)
    settings = {key.removeprefix("canaries."): value for key, value in j.config.items() if key.startswith("canaries.")}
    texts = natural.texts(parquet.iterate(j.input.snippets, schemas.SNIPPETS, ["text", "rejected", "pool"]))
    design = {key: settings[key] for key in ("cohorts", "doses", "seed")}
    own, dealt = secrets.of_user(source=settings.pop("source"), path=settings.pop("path"), texts=texts, **design)
    examples = natural.read(j.input.snippets, tokenizer=words, fim=fim, config=j.config)
    unfit = natural.asked_elsewhere(examples, j.input.snippets, tokenizer=words, fim=fim, config=j.config)
    options = settings | {key: j.config["examples"][key] for key in ("max_prompt_tokens", "max_target_tokens")}
    form = TASKS[j.config["examples"]["task"]].form(fim)
    rows = canaries.make(
        tokenizer=words, fim=form, natural=examples, unfit=unfit, own=dealt, language=j.config["corpus.language"], **options
    )
    parquet.write(planting.checked(rows, context=context), schemas.CANARIES, j.output.canaries)
    about = secrets.manifest(own, rows, dealt)
    Path(j.output.manifest).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    if about["unused_lines"]:
        j.say(f"canaries.path: {len(about['unused_lines'])} secrets found no place in the design; planted/canaries.json has their lines")
