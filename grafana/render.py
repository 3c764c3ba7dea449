"""Boards as Grafana's JSON, by way of Grafana's own foundation SDK: what it does not know can't be written.

Added here, the same for every board: ids, positions, data source, legends, the choice of a data source, links to all
other boards, and the defaults that the SDK leaves empty (without them a stat shows nothing and lines have no legend).
"""

from __future__ import annotations

import json
from typing import Any

from grafana.model import DATASOURCE, TAG, Annotation, Board, Colour, Kind, Link, Panel, Query, Variable
from grafana.sdk import (
    JSONEncoder,
    bargauge,
    common,
    common_model,
    dashboard,
    dashboard_model,
    heatmap,
    heatmap_model,
    prometheus,
    prometheus_model,
    stat,
    statetimeline,
    table,
    timeseries,
)

GRID_WIDTH = 24
_SOURCE = common_model.DataSourceRef(type_val="prometheus", uid=DATASOURCE)


def render(board: Board) -> str:
    """Return a board as the text of its file: the same board, the same bytes."""
    return json.dumps(document(board), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def document(board: Board) -> dict[str, Any]:
    """Return a board as Grafana's document."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.question)
        .tags([TAG])
        .timezone("browser")
        .tooltip(dashboard_model.DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time(board.since, "now")
        .readonly()
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Data source")
            .type("prometheus")
            .description("The Prometheus that scrapes the workers.")
        )
        .link(
            dashboard.DashboardLink("Boards")
            .type(dashboard_model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .tooltip("All boards of slawatch, at the same time and with the same choices")
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in board.variables:
        builder.with_variable(_variable(variable))
    for annotation in board.annotations:
        builder.annotation(_annotation(annotation))
    _place(builder, board)
    encoded: dict[str, Any] = json.loads(JSONEncoder().encode(builder.build()))
    return encoded


def _variable(variable: Variable) -> dashboard.QueryVariable:
    builder = (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .description(variable.description)
        .datasource(_SOURCE)
        .query({"query": variable.query, "refId": variable.name, "qryType": 5})
        .definition(variable.query)
        .refresh(dashboard_model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard_model.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .multi(variable.multiple)
        .include_all(True)
        .current(dashboard_model.VariableOption(selected=True, text="All", value="$__all"))
    )
    return builder if variable.all_value is None else builder.all_value(variable.all_value)


def _annotation(annotation: Annotation) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(annotation.name)
        .datasource(_SOURCE)
        .enable(annotation.enabled)
        .hide(False)
        .icon_color(annotation.colour.value)
        .expr(annotation.expr)
        .step(annotation.step)
        .title_format(annotation.title)
        .tag_keys(annotation.tags)
    )


# --- places ----------------------------------------------------------------------------------------------------------


def _place(builder: dashboard.Dashboard, board: Board) -> None:
    """Put the panels side by side, from the left, and below each other; ids are places in that order."""
    number, top = 0, 0
    for row in board.rows:
        number += 1
        heading = dashboard.Row(row.title).id(number).collapsed(row.collapsed)
        heading.grid_pos(dashboard_model.GridPos(h=1, w=GRID_WIDTH, x=0, y=top))
        top += 1
        left, height, below = 0, 0, []
        for panel in row.panels:
            number += 1
            if left + panel.width > GRID_WIDTH:
                top, left, height = top + height, 0, 0
            place = dashboard_model.GridPos(h=panel.height, w=panel.width, x=left, y=top)
            below.append(_panel(panel).id(number).grid_pos(place))
            left, height = left + panel.width, max(height, panel.height)
        top += height
        if row.collapsed:
            for of_row in below:
                heading.with_panel(of_row)
            builder.with_row(heading)
        else:
            builder.with_row(heading)
            for of_row in below:
                builder.with_panel(of_row)


# --- panels ----------------------------------------------------------------------------------------------------------


def _panel(panel: Panel) -> Any:
    builder = _of_kind(panel)
    builder.title(panel.title).description(panel.description).datasource(_SOURCE).unit(panel.unit)
    builder.no_value(panel.no_value)
    if panel.steps:
        builder.thresholds(_thresholds(panel.steps))
    if panel.words:
        builder.mappings(_mappings(panel.words))
    if panel.decimals is not None:
        builder.decimals(panel.decimals)
    if panel.minimum is not None:
        builder.min(panel.minimum)
    if panel.maximum is not None:
        builder.max(panel.maximum)
    for number, query in enumerate(panel.queries):
        builder.with_target(_query(panel, query, chr(ord("A") + number)))
    if panel.kind is Kind.TABLE:
        _columns(builder, panel)
    elif panel.links:
        builder.data_links([_data_link(link, "${__field.labels.%s}") for link in panel.links])
    return builder


def _of_kind(panel: Panel) -> Any:
    last = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    match panel.kind:
        case Kind.STAT:
            return (
                stat.Panel()
                .reduce_options(last)
                .graph_mode(common_model.BigValueGraphMode.NONE if panel.words else common_model.BigValueGraphMode.AREA)
                .color_mode(common_model.BigValueColorMode.VALUE)
                .text_mode(common_model.BigValueTextMode.AUTO)
            )
        case Kind.BARS:
            return (
                bargauge.Panel()
                .reduce_options(last)
                .orientation(common_model.VizOrientation.HORIZONTAL)
                .display_mode(common_model.BarGaugeDisplayMode.BASIC)
                .value_mode(common_model.BarGaugeValueMode.TEXT)
            )
        case Kind.TABLE:
            builder = table.Panel().show_header(True).filterable(True).cell_height(common_model.TableCellHeight.SM)
            if panel.sort:
                builder.sort_by([common.TableSortByFieldState().display_name(panel.sort).desc(True)])
            return builder
        case Kind.HEATMAP:
            return (
                heatmap.Panel()
                .calculate(False)
                .color(heatmap.HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Blues"))
                .y_axis(heatmap.YAxisConfig().unit(panel.unit))
                .cell_gap(1)
            )
        case Kind.STATES:
            return statetimeline.Panel().show_value(common_model.VisibilityMode.AUTO).merge_values(True).row_height(0.8)
        case Kind.LINES:
            return _lines(panel)


def _lines(panel: Panel) -> Any:
    builder = (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .line_width(2)
        .fill_opacity(30 if panel.stacked else 8)
        .show_points(common_model.VisibilityMode.NEVER)
        .span_nulls(False)
        .color_scheme(dashboard.FieldColor().mode(dashboard_model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A"))
    if panel.steps:
        # A line at each limit: its height says what a colour alone would not.
        builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED))
    return builder


def _query(panel: Panel, query: Query, ref_id: str) -> prometheus.Dataquery:
    builder = prometheus.Dataquery().expr(query.expr).ref_id(ref_id).editor_mode(prometheus_model.QueryEditorMode.CODE)
    match panel.kind:
        case Kind.TABLE:
            return builder.instant().format(prometheus_model.PromQueryFormat.TABLE)
        case Kind.HEATMAP:
            return builder.range().format(prometheus_model.PromQueryFormat.HEATMAP).legend_format("{{le}}")
        case Kind.BARS:
            return builder.instant().legend_format(query.legend or "__auto")
        case _:
            if query.exemplars:
                builder.exemplar(True)
            return builder.range().legend_format(query.legend or "__auto")


def _thresholds(steps: tuple[tuple[float | None, Colour], ...]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(dashboard_model.ThresholdsMode.ABSOLUTE)
        .steps([dashboard_model.Threshold(value=value, color=colour.value) for value, colour in steps])
    )


def _mappings(words: dict[int, tuple[str, Colour]]) -> list[Any]:
    options = {
        str(value): dashboard_model.ValueMappingResult(text=text, color=colour.value, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [dashboard_model.ValueMap(options=options)]


# --- tables ----------------------------------------------------------------------------------------------------------


def _columns(builder: Any, panel: Panel) -> None:
    """Merge the queries of a table into one row per combination of labels, with a titled column for each."""
    several = len(panel.queries) > 1
    names = {
        (f"Value #{chr(ord('A') + number)}" if several else "Value"): query.legend
        for number, query in enumerate(panel.queries)
    }
    if several:
        builder.with_transformation(dashboard_model.DataTransformerConfig(id_val="merge", options={}))
    hidden = {"Time": True, "__name__": True} | dict.fromkeys(panel.hide, True)
    hidden |= {column: True for column, title in names.items() if not title}
    builder.with_transformation(
        dashboard_model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": hidden,
                "indexByName": {},
                "renameByName": {column: title for column, title in names.items() if title},
            },
        )
    )
    for query in panel.queries:
        properties = [dashboard_model.DynamicConfigValue(id_val="unit", value=query.unit or panel.unit)]
        if query.words:
            properties.append(dashboard_model.DynamicConfigValue(id_val="mappings", value=_mappings(query.words)))
        if query.steps:
            properties.append(
                dashboard_model.DynamicConfigValue(id_val="thresholds", value=_thresholds(query.steps).build())
            )
        if query.words or query.steps:
            cell = {"type": "color-text"}
            properties.append(dashboard_model.DynamicConfigValue(id_val="custom.cellOptions", value=cell))
        if query.legend:
            builder.override_by_name(query.legend, properties)
    for link in panel.links:
        for of_row in link.fields.values():
            value = [{"title": link.title, "url": _url(link, "${__data.fields.%s}")}]
            builder.override_by_name(of_row, [dashboard_model.DynamicConfigValue(id_val="links", value=value)])


def _url(link: Link, label: str) -> str:
    choices = "".join(f"&var-{variable}={label % of_row}" for variable, of_row in link.fields.items())
    return f"/d/{link.board}?${{__url_time_range}}&var-datasource=${{datasource}}{choices}"


def _data_link(link: Link, label: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(link.title).type(dashboard_model.DashboardLinkType.LINK).url(_url(link, label))
