# One image for head and workers. --build-arg TORCH_INDEX=<address> adds a package index, such as that of torch's CPU build.
FROM python:3.11-slim

ARG TORCH_INDEX=

WORKDIR /opt/option-arena
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY arena arena
COPY agents agents
COPY scenarios scenarios
COPY curricula curricula
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --constraint constraints.txt '.[dashboard]'

# An ordinary user plays; run folders appear under /arena/runs, which can be mounted.
RUN useradd --create-home arena && install --directory --owner arena /arena /arena/runs
USER arena
WORKDIR /arena
ENV NUMBA_CACHE_DIR=/home/arena/.cache/kernels OMP_WAIT_POLICY=PASSIVE
CMD ["python", "-m", "arena.selfplay", "--help"]
