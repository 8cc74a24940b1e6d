"""Dashboard of a sweep in W&B as code: embedder, mode and number of topics against quality, and the losses.

`python experiments/sweeps/dashboard.py --entity <you> --name sweeps_grid` makes it and prints its address;
`--out dashboard.json` writes what it would send, and sends nothing. Needs the extra `dashboard`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

STEP = "trainer/global_step"
OPTIONS = ("embedder.name", "mode.name", "num_topics", "seed", "model.lr")
QUALITY = ("topics/npmi", "topics/td", "test/purity", "test/nmi")


def dashboard(entity: str, project: str, name: str) -> ws.Workspace:
    """The view of the runs of the group `name`, the sweep's name=...; sends nothing."""
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"sweep {name}",
        auto_generate_panels=False,
        sections=[overview(), by_number_of_topics(), by_option(), training(), pictures()],
        runset_settings=ws.RunsetSettings(filters=[ws.Metric("Group") == name]),
    )


def overview() -> ws.Section:
    """All options and measures at once, and which option matters to NPMI."""
    columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(key)) for key in OPTIONS]
    columns += [wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(key)) for key in QUALITY]
    return section(
        "Overview",
        [
            wr.ParallelCoordinatesPlot(columns=columns, layout=wr.Layout(w=24, h=9)),
            wr.ParameterImportancePlot(with_respect_to="topics/npmi"),
        ],
    )


def by_number_of_topics() -> ws.Section:
    """Each measure against the number of topics."""
    panels = [
        wr.ScatterPlot(x=wr.Config("num_topics"), y=wr.SummaryMetric(key), title=key) for key in QUALITY
    ]
    return section("Number of topics", panels)


def by_option() -> ws.Section:
    """Means of each measure by embedder and by mode."""
    panels = [
        wr.BarPlot(
            metrics=[wr.SummaryMetric(key)], groupby=wr.Config(option), groupby_aggfunc="mean", title=key
        )
        for option in ("embedder.name", "mode.name")
        for key in QUALITY
    ]
    return section("Embedder and mode", panels)


def training() -> ws.Section:
    """The losses by epoch."""
    keys = ("train/loss", "val/loss", "train/recon", "train/kl", "train/classification", "kl_weight")
    return section("Training", [wr.LinePlot(x=STEP, y=[key], title=key) for key in keys])


def pictures() -> ws.Section:
    """The map of documents and the tables of topics of every run."""
    return section(
        "Topics",
        [
            wr.MediaBrowser(media_keys=["documents/map"], num_columns=2),
            wr.WeavePanelSummaryTable(table_name="topics/table"),
        ],
    )


def section(name: str, panels: list) -> ws.Section:
    return ws.Section(name=name, panels=panels, is_open=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entity", default="", help="account or team; needed to send it")
    parser.add_argument("--project", default="topiclab")
    parser.add_argument("--name", default="sweeps_grid", help="name=... of the sweep's runs, their group")
    parser.add_argument("--out", type=Path, help="file to write what would be sent, as JSON")
    args = parser.parse_args(argv)
    made = dashboard(args.entity, args.project, args.name)
    if args.out is not None:
        text = made._to_model().model_dump_json(by_alias=True, exclude_none=True)
        args.out.write_text(json.dumps(json.loads(text), indent=1) + "\n", encoding="utf-8")
    elif not args.entity:
        parser.error("--entity names the account or team that gets the dashboard; or give --out")
    else:
        print(made.save().url)


if __name__ == "__main__":
    main()
