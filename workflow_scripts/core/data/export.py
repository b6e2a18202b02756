"""The planted training sets of one arm as JSON Lines in the formats of TRL, for trainers outside of this workflow.

The token ids are those that the workflow's own trainers read. Beside them stands their text, which most trainers tokenise themselves; a
row is `exact` where that gives the same ids. Text does not where a prompt was cut within a word, or code spells a special token.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from .fim import Fim, decode

MANIFEST, README = "manifest.json", "README.md"


class Texts:
    """Ids as text, and whether a trainer that is given the text sees these ids."""

    def __init__(self, tokenizer, fim: Fim):
        self.tokenizer, self.bos = tokenizer, len(fim.bos)

    def row(self, prompt_ids: list[int], **completions: list[int]) -> dict:
        """`prompt`, the text of each of the `completions`, and `exact`; the text lacks what the tokenizer itself puts first."""
        prompt = decode(self.tokenizer, prompt_ids[self.bos :])
        texts = {name: decode(self.tokenizer, ids) for name, ids in completions.items()}
        exact = self._ids(prompt) == prompt_ids
        exact = exact and all(self._ids(prompt + texts[name]) == [*prompt_ids, *ids] for name, ids in completions.items())
        return dict(prompt=prompt, **texts, exact=exact)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text).input_ids  # as TRL calls it


def sft(examples: Iterable[dict], *, texts: Texts, fim: Fim) -> Iterator[dict]:
    """prompt, completion; input_ids and completion_mask, which SFTTrainer takes as they are. Both completions and ids have the end token."""
    for e in examples:
        prompt, completion = e["prompt_ids"], [*e["target_ids"], fim.end]
        mask = [0] * len(prompt) + [1] * len(completion)
        yield texts.row(prompt, completion=completion) | dict(
            input_ids=[*prompt, *completion], completion_mask=mask, source_id=e["source_id"]
        )


def preference(pairs: Iterable[dict], *, texts: Texts, **_) -> Iterator[dict]:
    """prompt, chosen, rejected, and their ids."""
    for p in pairs:
        chosen = texts.row(p["prompt_ids"], chosen=p["chosen_ids"], rejected=p["rejected_ids"])
        yield chosen | {key: p[key] for key in ("prompt_ids", "chosen_ids", "rejected_ids", "source_id")}


def rl_prompt(examples: Iterable[dict], *, texts: Texts, **_) -> Iterator[dict]:
    """prompt and its ids; the target of a canary is no part of it."""
    for e in examples:
        yield texts.row(e["prompt_ids"]) | dict(prompt_ids=e["prompt_ids"], source_id=e["source_id"])


def write(rows: Iterable[dict], path: Path) -> dict:
    """Write rows as JSON Lines; returns {rows, inexact, longest: tokens of the longest row} for the manifest."""
    counts = dict(rows=0, inexact=0, longest=0)
    with open(path, "w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            counts["rows"] += 1
            counts["inexact"] += not row["exact"]
            ids = row.get("input_ids") or row["prompt_ids"] + max(row.get("chosen_ids", []), row.get("rejected_ids", []), key=len)
            counts["longest"] = max(counts["longest"], len(ids))
    return counts


def describe(folder: Path, *, run: str, arm: str, files: dict[str, dict], base: str) -> None:
    """Write manifest.json and README.md into the folder. `files` has what `write` returned by name, `base` a checkpoint to start from."""
    (folder / MANIFEST).write_text(json.dumps(dict(run=run, arm=arm, files=files), indent=1) + "\n", encoding="utf-8")
    inexact = {name: f"{n['inexact']} of {n['rows']}" for name, n in files.items() if n["inexact"]}
    said = (
        f"The text of some rows gives other ids ({', '.join(f'{name}: {n}' for name, n in inexact.items())}; `exact` is false there): "
        "use the ids, or leave these rows out."
        if inexact
        else "The text of every row gives exactly these ids."
    )
    table = "\n".join(f"| `{name}` | {n['rows']} | {n['longest']} | {n['inexact']} |" for name, n in files.items())
    page = _PAGE.format(run=run, arm=arm, said=said, table=table, base=base, longest=max(n["longest"] for n in files.values()))
    (folder / README).write_text(page, encoding="utf-8")


_PAGE = """# Training sets of run {run}, arm {arm}

What a policy of arm {arm} is trained on, canaries included. Train the same way on the export of the other arm: each is the other's control.

| file | rows | tokens of the longest | text gives other ids |
|---|---:|---:|---:|
{table}

- `sft.jsonl`: prompt, completion. `input_ids` and `completion_mask` are the same as token ids, and SFTTrainer takes these as they are.
- `preference-<seed>.jsonl`: prompt, chosen, rejected; `prompt_ids`, `chosen_ids`, `rejected_ids`. The rejected ones depend on the seed.
- `rl_prompt.jsonl`: prompt; `prompt_ids`. Completions are yours to sample.
- `source_id` names the snippet or the canary. It is not for the trainer.

{said} Completions end with the end token, which is the tokenizer's `eos_token`; add none.

## How to train on them

Start from `{base}`, which has the run's tokenizer and saw no canary, and keep that tokenizer: another one gives other ids, and such a
checkpoint is refused. Paths are those of the project's folder. Let `max_length` be {longest} or more, and take every row.

```python
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

rows = load_dataset("json", data_files="results/{run}/export/{arm}/sft.jsonl", split="train")
settings = SFTConfig("trained", max_length={longest}, num_train_epochs=3, learning_rate=5e-4, report_to="none")
trainer = SFTTrainer("{base}", args=settings, train_dataset=rows)
trainer.train()
trainer.save_model("trained/{arm}")
```

Then name the folder in the config, and run again:

```yaml
policies:
  mine: {{method: external, parent: base, path: "trained/{{arm}}"}}
```
"""
