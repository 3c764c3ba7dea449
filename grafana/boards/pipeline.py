"""Pipeline health: whether slawatch itself keeps up, and is heard."""

from __future__ import annotations

from export import catalogue
from grafana.boards.shared import JOB, PIPELINE, RELEASES, RULE_ALERTS, YES_IS_GOOD
from grafana.model import Board, Colour, Kind, Panel, Query, Row
from grafana.promql import increase, largest, quantile, rate, total

_LAG_STEPS = ((None, Colour.GOOD), (60.0, Colour.WARNING), (300.0, Colour.BAD))
_LATENCY_BUCKETS = f"sum by (le) (increase({catalogue.EVENT_LATENCY_SECONDS.name}_bucket[$__rate_interval]))"
_NO_DEAD_LETTERS = ((None, Colour.GOOD), (1.0, Colour.WARNING))


def _stat(title: str, description: str, expr: str, **options: object) -> Panel:
    return Panel(title, description, Kind.STAT, (Query(expr),), width=4, height=4, **options)  # type: ignore[arg-type]


def _quantiles(spec: catalogue.HistogramSpec, by: str = "", *, exemplars: bool = False) -> tuple[Query, ...]:
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        # Exemplars belong to the histogram, not to the quantile: once is enough.
        Query(quantile(share, spec, by), f"p{share * 100:g}{legend}", exemplars=share == 0.99 and exemplars)
        for share in (0.5, 0.95, 0.99)
    )


_NOW = Row(
    "Now",
    (
        _stat(
            "Workers that answer",
            "Workers that Prometheus scrapes with success. 0 or nothing: nobody is warned about breaches.",
            'sum(up{job=~"$job"})',
            steps=((None, Colour.BAD), (1, Colour.GOOD)),
            no_value="NONE IS KNOWN",
        ),
        _stat(
            "All ready",
            "Whether every worker does its work: owns and has restored its partitions, reaches the broker, can "
            "use the register.",
            f'min({catalogue.READY.name}{{job=~"$job"}})',
            words=YES_IS_GOOD,
            no_value="NO WORKER ANSWERS",
        ),
        _stat(
            "Partitions without an owner",
            "Partitions of input topics that no worker reads. What happens there waits, and nobody is warned.",
            f"sum({largest(catalogue.PARTITIONS, 'topic')} - sum by (topic) ({catalogue.PARTITIONS_ASSIGNED.name}))",
            steps=((None, Colour.GOOD), (1, Colour.BAD)),
        ),
        _stat(
            "Behind by",
            "How old the last processed record is where a partition is behind; 0 when all are read to their end.",
            largest(catalogue.CONSUMER_LAG_SECONDS),
            unit="s",
            steps=_LAG_STEPS,
        ),
        _stat(
            "Dead letters in the time shown",
            "Records that could not be taken in. `slawatch dead-letters list` shows them.",
            increase(catalogue.DEAD_LETTERS_TOTAL, over="$__range"),
            decimals=0,
            steps=_NO_DEAD_LETTERS,
        ),
        _stat(
            "Alertmanagers reached",
            "Alertmanagers that answered the last push, as the worker sees it that reaches fewest.",
            f"min(sum by (instance) ({catalogue.ALERTMANAGER_UP.name}))",
            steps=((None, Colour.BAD), (1, Colour.GOOD)),
            no_value="none is configured",
        ),
    ),
)

_FLOW = Row(
    "Flow",
    (
        Panel(
            "Events by what became of them",
            "Per second. Duplicates: a publisher repeats itself. Rejected: see dead letters.",
            Kind.LINES,
            (Query(rate(catalogue.EVENTS_TOTAL, "result"), "{{result}}"),),
            unit="eps",
            stacked=True,
            minimum=0,
        ),
        Panel(
            "Records waiting, by topic",
            "Records behind the end of the topic. It should come back to 0; growing for minutes means too few "
            "workers or a slow one.",
            Kind.LINES,
            (Query(total(catalogue.CONSUMER_LAG_MESSAGES, "topic"), "{{topic}}"),),
            minimum=0,
        ),
        Panel(
            "Behind by, the ten slowest partitions",
            "One partition alone: a hot key or a slow worker. All of them: load, or Kafka.",
            Kind.LINES,
            (
                Query(
                    f"topk(10, {largest(catalogue.CONSUMER_LAG_SECONDS, 'topic, partition')})",
                    "{{topic}}/{{partition}}",
                ),
            ),
            unit="s",
            steps=_LAG_STEPS,
            minimum=0,
        ),
        Panel(
            "Rejected by reason",
            "Reasons and remedies are in the reference of events. `internal-error` is a fault of slawatch.",
            Kind.LINES,
            (Query(f"{increase(catalogue.DEAD_LETTERS_TOTAL, 'reason')} > 0", "{{reason}}"),),
            minimum=0,
            no_value="none rejected",
            may_be_empty="nothing is rejected while publishers are right",
        ),
        Panel(
            "Late, unmatched, corrected",
            "Per second. Out of order: publishers send late. Unmatched: tickets under no contract. "
            "Corrections: verdicts that changed. Judged again: minutes of services of which more became known.",
            Kind.LINES,
            (
                Query(rate(catalogue.OUT_OF_ORDER_EVENTS_TOTAL), "out of order"),
                Query(rate(catalogue.UNMATCHED_TICKETS_TOTAL), "unmatched tickets"),
                Query(rate(catalogue.CORRECTIONS_TOTAL), "corrections"),
                Query(rate(catalogue.AVAILABILITY_CORRECTIONS_TOTAL), "minutes judged again"),
            ),
            unit="cps",
            minimum=0,
        ),
        Panel(
            "Written, by topic",
            "Records sent to output topics and acknowledged, per second.",
            Kind.LINES,
            (Query(rate(catalogue.OUTPUTS_TOTAL, "topic"), "{{topic}}"),),
            unit="wps",
            minimum=0,
        ),
    ),
)

_SPEED = Row(
    "Speed",
    (
        Panel(
            "From Kafka to told",
            "From the Kafka timestamp of a chunk's first record until all its outputs were acknowledged: the "
            "delay of a "
            "warning. A point is a single chunk, and names a ticket that it decided.",
            Kind.LINES,
            _quantiles(catalogue.EVENT_LATENCY_SECONDS, exemplars=True),
            unit="s",
            minimum=0,
        ),
        Panel(
            "Distribution of that time",
            "Each column is an interval, each cell a range of latencies; darker: more chunks.",
            Kind.HEATMAP,
            (Query(_LATENCY_BUCKETS),),
            unit="s",
        ),
        Panel(
            "Steps of the engine (p95)",
            "Time of one step, without its writes, by what it worked on.",
            Kind.LINES,
            (Query(quantile(0.95, catalogue.STEP_DURATION_SECONDS, "kind"), "{{kind}}"),),
            unit="s",
            minimum=0,
        ),
        Panel(
            "Writing state",
            "Until the broker had the state of a step. Rising together with latency: look at Kafka.",
            Kind.LINES,
            _quantiles(catalogue.STATE_WRITE_SECONDS),
            unit="s",
            minimum=0,
        ),
        Panel(
            "State written",
            "Bytes per second before compression.",
            Kind.LINES,
            (Query(rate(catalogue.STATE_WRITE_BYTES_TOTAL), "state"),),
            unit="Bps",
            minimum=0,
        ),
        Panel(
            "Steps per second",
            "By what they worked on: chunks of events, sweeps for deadlines, changes of the register.",
            Kind.LINES,
            (Query(rate(catalogue.STEPS_TOTAL, "kind"), "{{kind}}"),),
            unit="ops",
            minimum=0,
        ),
        Panel(
            "Oldest record not committed",
            "Time for which the oldest record read has waited for its offset. It should stay within seconds.",
            Kind.LINES,
            (
                Query(
                    f"topk(10, {largest(catalogue.COMMIT_AGE_SECONDS, 'topic, partition')})", "{{topic}}/{{partition}}"
                ),
            ),
            unit="s",
            minimum=0,
        ),
        Panel(
            "Now of the slowest partition",
            "Its distance to the wall clock. In production it stays within seconds; in a replay it is the "
            "replayed time's.",
            Kind.LINES,
            (
                Query(
                    f"time() - min by (topic) ({catalogue.PARTITION_NOW_TIMESTAMP_SECONDS.name})",
                    "{{topic}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Time since the last record",
            "Per input topic. It grows while publishers are silent: no news is not good news.",
            Kind.LINES,
            (Query(f"time() - {largest(catalogue.LAST_EVENT_TIMESTAMP_SECONDS, 'topic')}", "{{topic}}"),),
            unit="s",
            minimum=0,
        ),
    ),
)

_OWNERSHIP = Row(
    "Ownership and state",
    (
        Panel(
            "Partitions by worker",
            "Even shares are best. A step: partitions moved.",
            Kind.LINES,
            (Query(f"sum by (instance) ({catalogue.PARTITIONS_ASSIGNED.name})", "{{instance}}"),),
            stacked=True,
            minimum=0,
        ),
        Panel(
            "Takeovers and rebalances",
            "Partitions taken over, by how, and rebalances. Many in a row: a worker that dies and returns, or "
            "a session timeout too short.",
            Kind.LINES,
            (
                Query(increase(catalogue.TAKEOVERS_TOTAL, "reason"), "taken over: {{reason}}"),
                Query(increase(catalogue.REBALANCES_TOTAL), "rebalances"),
            ),
            minimum=0,
        ),
        Panel(
            "Longest restore and rebalance (p99)",
            "How long partitions were not served. Longer restores: more open tickets, or a slower Kafka.",
            Kind.LINES,
            (
                Query(quantile(0.99, catalogue.RESTORE_SECONDS), "restore"),
                Query(quantile(0.99, catalogue.REBALANCE_DURATION_SECONDS), "rebalance"),
            ),
            unit="s",
            minimum=0,
            no_value="none in this time",
        ),
        Panel(
            "Rows of state",
            "Tickets, objectives and alerts held, by input topic.",
            Kind.LINES,
            (Query(total(catalogue.STATE_ROWS, "topic"), "{{topic}}"),),
            minimum=0,
        ),
        Panel(
            "Tickets set aside",
            "Tickets that slawatch's own code could not compute: not watched, tried again every hour. Must be 0.",
            Kind.LINES,
            (Query(total(catalogue.TICKETS_SET_ASIDE), "set aside"),),
            steps=((None, Colour.GOOD), (1.0, Colour.BAD)),
            minimum=0,
        ),
        Panel(
            "Register",
            "Documents in force. Workers with different numbers read different registers: one of them is behind.",
            Kind.LINES,
            (Query(f"max by (kind, instance) ({catalogue.REGISTER_DOCUMENTS.name})", "{{kind}} at {{instance}}"),),
            minimum=0,
        ),
    ),
)

_HEARD = Row(
    "Alerting",
    (
        Panel(
            "Alerts pushed, by what became of them",
            "Per second, resends included. `failed` and `rejected` must be 0; `dropped` is a worker that may "
            "no longer own them.",
            Kind.LINES,
            (Query(rate(catalogue.ALERTS_PUSHED_TOTAL, "result"), "{{result}}"),),
            unit="ops",
            minimum=0,
        ),
        Panel(
            "Time of a push",
            "To all Alertmanagers together.",
            Kind.LINES,
            _quantiles(catalogue.ALERT_PUSH_DURATION_SECONDS),
            unit="s",
            minimum=0,
            no_value="nothing was pushed",
        ),
        Panel(
            "Alertmanagers",
            "Whether each one answered the last push of each worker.",
            Kind.STATES,
            (Query(f"min by (url, instance) ({catalogue.ALERTMANAGER_UP.name})", "{{url}} from {{instance}}"),),
            words=YES_IS_GOOD,
            no_value="none is configured",
        ),
        Panel(
            "Dead man's switch",
            "Whether the rule that always fires does. If not, Prometheus has not loaded the rules of slawatch.",
            Kind.STATES,
            (Query('max by (alertname) (ALERTS{alertname="Watchdog", alertstate="firing"})', "{{alertname}}"),),
            words={1: ("fires", Colour.GOOD)},
            no_value="RULES ARE NOT LOADED",
        ),
    ),
)

_PROCESS = Row(
    "Workers",
    (
        Panel(
            "Versions",
            "Version, Python, and the checks that fail.",
            Kind.TABLE,
            (
                Query(
                    f"max by (instance, version, python_version) ({catalogue.BUILD_INFO.name})"
                    f" * on (instance) group_left () max by (instance) ({catalogue.READY.name})",
                    "ready",
                    words=YES_IS_GOOD,
                ),
            ),
        ),
        Panel(
            "Health checks",
            "Each check of each worker; the runbook of SLAMonitorNotReady says what they mean.",
            Kind.STATES,
            (Query(f"min by (check, instance) ({catalogue.HEALTH_CHECK_OK.name})", "{{check}} at {{instance}}"),),
            words=YES_IS_GOOD,
        ),
        Panel(
            "CPU",
            "Cores used by each worker; one is all it can use for its events.",
            Kind.LINES,
            (
                Query(
                    'sum by (instance) (rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval]))', "{{instance}}"
                ),
            ),
            width=8,
            decimals=2,
            minimum=0,
        ),
        Panel(
            "Memory",
            "Resident memory; it holds the state of the partitions owned.",
            Kind.LINES,
            (Query('sum by (instance) (process_resident_memory_bytes{job=~"$job"})', "{{instance}}"),),
            width=8,
            unit="bytes",
            minimum=0,
        ),
        Panel(
            "Event loop late by",
            "The longest delay of the last seconds. Near the session timeout a worker loses its partitions.",
            Kind.LINES,
            (Query(f"max by (instance) ({catalogue.EVENT_LOOP_LAG_SECONDS.name})", "{{instance}}"),),
            width=8,
            unit="s",
            minimum=0,
        ),
        Panel(
            "The metrics page",
            "Time to render it, and to scrape it.",
            Kind.LINES,
            (
                Query(f"max by (instance) ({catalogue.EXPOSITION_DURATION_SECONDS.name})", "{{instance}}: rendered"),
                Query('max by (instance) (scrape_duration_seconds{job=~"$job"})', "{{instance}}: scraped"),
                Query(rate(catalogue.EXPOSITION_ERRORS_TOTAL), "sources that failed, per second"),
            ),
            unit="s",
            minimum=0,
        ),
        Panel(
            "Series",
            "Samples of one scrape. Prometheus refuses the page above its `sample_limit`.",
            Kind.LINES,
            (Query('max by (instance) (scrape_samples_scraped{job=~"$job"})', "{{instance}}"),),
            minimum=0,
        ),
    ),
)

BOARD = Board(
    PIPELINE,
    "slawatch / Pipeline health",
    "Does slawatch keep up, does it own all partitions, and are its alerts heard?",
    (_NOW, _FLOW, _SPEED, _OWNERSHIP, _HEARD, _PROCESS),
    (JOB,),
    (RULE_ALERTS, RELEASES),
)
