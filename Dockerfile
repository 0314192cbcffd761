# The relay in a container. Docker's default seccomp profile forbids bubblewrap, so the container is the confinement here: documents
# and faxes are still parsed in child processes with limits and a system call filter, but see the same files as the service.
# LibreOffice runs there under limits, the filter and a watch on its memory; what it may read is the container: give it no secrets.
# Run it read-only with its data as the only volume: docker run --read-only --tmpfs /tmp -v faxrelay:/var/lib/faxrelay --cap-drop ALL IMAGE
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir setuptools==84.2.1 build==1.6.1 \
    && python -m build --wheel --no-isolation --outdir /wheels

FROM python:3.11-slim-bookworm
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY setup/apt-run requirements.lock /tmp/setup/
RUN apt-get update \
    && sed 's/#.*//' /tmp/setup/apt-run | grep -v -e bubblewrap -e python3-venv | xargs apt-get install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir -r /tmp/setup/requirements.lock \
    && rm -rf /tmp/setup
COPY --from=build /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl \
    && rm -rf /tmp/wheels \
    && useradd --system --uid 10001 --home-dir /var/lib/faxrelay --create-home faxrelay \
    && printf 'confinement: container\ndata: /var/lib/faxrelay\nsmtp:\n  listeners:\n    - address: 0.0.0.0\n      proofs: [network]\nweb:\n  address: 0.0.0.0\n' >/etc/faxrelay.yaml
USER faxrelay
WORKDIR /var/lib/faxrelay
VOLUME /var/lib/faxrelay
EXPOSE 8025 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
ENTRYPOINT ["faxrelay"]
CMD ["serve", "--config", "/etc/faxrelay.yaml"]
