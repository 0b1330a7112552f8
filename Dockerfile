# The program with everything that `make test` installs but the tests' own tools, from the same pinned versions.
#   docker build -t fingerprint .
#   docker run --rm --network none -v "$PWD:/data" fingerprint compare rec:a.jsonl.zst rec:b.jsonl.zst
# For clusters (--engine ray): docker build --build-arg EXTRAS=gguf,ray -t fingerprint .
# Nothing is fetched at run time: only a model behind a server (openai:…) needs a network. If the folder belongs to another
# user than 1000, add --user "$(id -u):$(id -g)".
FROM python:3.11-slim AS build
WORKDIR /src
# torch from its own index: the CPU build, without the CUDA libraries that PyPI's would bring.
COPY constraints.txt ./
RUN python -m venv /opt/fingerprint \
 && /opt/fingerprint/bin/pip install --no-cache-dir -c constraints.txt \
      --index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple torch
COPY pyproject.toml README.md LICENSE ./
COPY fingerprint ./fingerprint
COPY probes ./probes
ARG EXTRAS=gguf
RUN /opt/fingerprint/bin/pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]"

FROM python:3.11-slim
# A suspect model is hostile input: no root, and a home that holds nothing. The store lies beside the data.
RUN useradd --create-home --uid 1000 examiner && mkdir /data && chown examiner /data
COPY --from=build /opt/fingerprint /opt/fingerprint
ENV PATH=/opt/fingerprint/bin:$PATH \
    FINGERPRINT_CACHE=/data/.fingerprint \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1
USER examiner
WORKDIR /data
ENTRYPOINT ["fingerprint"]
CMD ["--help"]
