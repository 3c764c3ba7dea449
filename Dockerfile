# syntax=docker/dockerfile:1
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/slawatch
WORKDIR /src
# The dependencies change less often than the code: a layer of their own.
COPY requirements.lock ./
RUN /opt/slawatch/bin/pip install --require-hashes -r requirements.lock
COPY . .
RUN /opt/slawatch/bin/pip install --no-deps .

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/slawatch --create-home slawatch
COPY --from=build /opt/slawatch /opt/slawatch
# What an operator edits; docker-compose.yml mounts the checkout's over it.
COPY --from=build /src/config/contracts /etc/slawatch/config/contracts
COPY --from=build /src/config/calendars /etc/slawatch/config/calendars
ENV PATH=/opt/slawatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SLAWATCH_WEB__HOST=0.0.0.0 \
    SLAWATCH_WEB__PORT=6066 \
    SLAWATCH_LOG__FORMAT=json
WORKDIR /etc/slawatch
USER slawatch
EXPOSE 6066
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:6066/health/live', timeout=4)"]
# SIGTERM: the worker hands its partitions over before it goes.
STOPSIGNAL SIGTERM
ENTRYPOINT ["slawatch"]
CMD ["worker"]
