"""The base model on blocks of code, from scratch or on top of a pretrained model."""

from workflow_scripts.core import parquet
from workflow_scripts.core.data import schemas, tokenizer
from workflow_scripts.core.job import job
from workflow_scripts.core.lm import lora, models
from workflow_scripts.core.methods import Base
from workflow_scripts.core.training import session, sft

with job(snakemake) as j:
    s = session.start(j, Base)
    shape = {key: s.about["settings"].get(key, value) for key, value in j.config["model"].items()}
    words, fim, context = tokenizer.load(j.input.tokenizer)
    tokenizer.check_package(j.input.tokenizer, shape["base"])
    if s.lora and s.settings.epochs:
        lora.check_tokens(fim, base=shape["base"], section=s.section)
    model = s.prepared(lambda: models.create_base(model=shape, tokenizer=words, fim=fim, context=context).to(s.device))
    record = sft.train(model=model, rows=sft.block_rows(parquet.read_rows(j.input.blocks, schemas.BLOCKS)), session=s)
    s.save(model, j.output.model, {"model": shape, **record, **tokenizer.origin(j.input.tokenizer)})
