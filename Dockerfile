# The program with everything that `make test` installs, from the same pinned versions. Nothing is fetched at run time.
#   docker build -t fingerprint .
#   docker run --rm -v "$PWD:/data" fingerprint compare rec:a.jsonl.zst rec:b.jsonl.zst
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
RUN /opt/fingerprint/bin/pip install --no-cache-dir -c constraints.txt ".[gguf]"

FROM python:3.11-slim
# A suspect model is hostile input: no root, and a home that holds nothing but the store.
RUN useradd --create-home --uid 1000 examiner && mkdir /data && chown examiner /data
COPY --from=build /opt/fingerprint /opt/fingerprint
ENV PATH=/opt/fingerprint/bin:$PATH \
    FINGERPRINT_CACHE=/data/.fingerprint \
    PYTHONDONTWRITEBYTECODE=1
USER examiner
WORKDIR /data
ENTRYPOINT ["fingerprint"]
CMD ["--help"]
