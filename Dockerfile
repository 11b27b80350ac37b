# One image for both tiers: the arguments choose. Without any it is the gateway.
#   docker build -t hub-gateway .
FROM python:3.11.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/app
COPY pyproject.toml constraints.txt README.md ./
COPY gateway gateway
COPY upstream upstream
RUN /opt/app/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt . \
    && /opt/app/bin/python -m compileall -q /opt/app/lib

FROM python:3.11.11-slim-bookworm
# A number, so that Kubernetes can see that it isn't root.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /nonexistent app \
    && install -d -o app -g app -m 0700 /var/lib/gateway /var/lib/hub
COPY --from=build /opt/app /opt/app
COPY rules.yaml /etc/gateway/rules.yaml
ENV PATH=/opt/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEALTH_URL=http://127.0.0.1:8081/readyz
WORKDIR /
USER 10001:10001
EXPOSE 8080 8081 3000
# Kubernetes has probes of its own and ignores this; compose and plain Docker use it.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(os.environ['HEALTH_URL'], timeout=2)"]
# No tini: as process 1 the supervisor takes SIGTERM, drains, and reaps the workers, which are
# its only children. The hub has no children when the database is a server of its own.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["gateway", "serve", "--rules", "/etc/gateway/rules.yaml", "--listen", "0.0.0.0:8080", "--admin", "0.0.0.0:8081", "--workers", "1", "--state-dir", "/var/lib/gateway"]
