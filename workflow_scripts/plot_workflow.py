"""The workflow as a picture, from the resolved config."""

from workflow_scripts.core.job import job
from workflow_scripts.core.results import dag, style

with job(snakemake) as j:
    figure = dag.workflow(policies=j.params.policies, sampler=j.config["preferences.sampler"], reward_models=j.params.reward_models)
    for path in (j.output.svg, j.output.png):
        style.save(figure=figure, path=path)
