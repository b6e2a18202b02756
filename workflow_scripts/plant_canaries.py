"""The canaries of a run, generated or from the user's file, with their doses and halves, as token ids; and what was made of the file."""

import json
from pathlib import Path

from workflow_scripts.core import parquet
from workflow_scripts.core.data import canaries, natural, planting, schemas, secrets, tokenizer
from workflow_scripts.core.job import job

with job(snakemake) as j:
    words, fim, context = tokenizer.load(j.input.tokenizer)
    settings = {key.removeprefix("canaries."): value for key, value in j.config.items() if key.startswith("canaries.")}
    source, path = settings.pop("source"), settings.pop("path")
    own = secrets.read(path) if source != "generated" else []
    design = {key: settings[key] for key in ("cohorts", "doses", "seed")}
    dealt = secrets.deal(own, source=source, path=path, **design) if own else {}
    if own:
        snippets = parquet.iterate(j.input.snippets, schemas.SNIPPETS, ["text", "pool"])
        secrets.check_corpus(own, (row["text"] for row in snippets if row["pool"]))
    examples = natural.read(j.input.snippets, tokenizer=words, fim=fim, config=j.config)
    limits = {key: j.config["examples"][key] for key in ("max_prompt_tokens", "max_target_tokens")}
    language = j.config["corpus.language"]
    rows = canaries.make(tokenizer=words, fim=fim, natural=examples, own=dealt, language=language, **limits, **settings)
    parquet.write(planting.checked(rows, context=context), schemas.CANARIES, j.output.canaries)
    about = secrets.manifest(own, rows, unused_lines=secrets.unused(own, dealt))
    Path(j.output.manifest).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    if about["unused_lines"]:
        j.say(f"canaries.path: {len(about['unused_lines'])} secrets found no place in the design; planted/canaries.json has their lines")
