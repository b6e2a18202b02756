"""The workflow as a picture, from the resolved config."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results.figures import style, workflow

with job(snakemake) as j:
    figure = workflow.plot(policies=j.params.policies, sampler=j.config["preferences.sampler"], reward_models=j.params.reward_models)
    style.save(figure, j.output.svg, j.output.png)
